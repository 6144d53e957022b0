package middleware

import (
	"strings"

	"github.com/sallyport-dev/gateway/mask/detect"
	"github.com/sallyport-dev/gateway/protocol"
)

// documents returns the tap that masks the documents of op's result. A text is
// left to texts, where there is one; only what is a document among others, as an
// event is, is masked here.
func (m *masking) documents(op *protocol.Operation) func(string) (protocol.DocFunc, error) {
	return func(kind string) (protocol.DocFunc, error) {
		switch {
		case isJSON(kind):
		case globAny(m.passKinds, kind):
			return nil, nil
		case isText(kind) && m.streamsText(op) && kind != "text/event-stream":
			return nil, nil
		case isText(kind) && !m.set.HasFields():
			texts := m.set.Texts(m.told(hid(op)))
			return func(doc []byte) ([]byte, error) {
				if out := texts.Mask(nil, doc, detect.Field{}); out != nil {
					return out, nil
				}
				return doc, nil
			}, nil
		default:
			return nil, &protocol.DeniedError{Step: "mask", Reason: "masked fields cannot be hidden in a result of this form (" + kind + ")",
				Hint: "ask for JSON, or whoever runs the gateway to let this kind of document pass"}
		}
		docs := m.set.Documents(m.told(hid(op)))
		return func(doc []byte) ([]byte, error) {
			out, err := docs.JSON(doc)
			if err != nil { // its text may quote the document
				return nil, &protocol.DeniedError{Step: "mask", Reason: "the result is not JSON that can be read, so masked fields cannot be hidden in it"}
			}
			return out, nil
		}, nil
	}
}

// streamsText reports whether texts in op's result are masked as streams.
func (m *masking) streamsText(op *protocol.Operation) bool {
	return op.Shape&protocol.Bytes != 0 && !m.set.HasFields()
}

// texts returns the tap that masks the texts of op's result, which a connector
// shows as streams besides; nil: none are shown so.
func (m *masking) texts(op *protocol.Operation) func(protocol.Stream) (protocol.BytesFunc, error) {
	if !m.streamsText(op) {
		return nil
	}
	return func(st protocol.Stream) (protocol.BytesFunc, error) {
		if st.In || !isText(st.Kind) || isJSON(st.Kind) || st.Kind == "text/event-stream" || globAny(m.passKinds, st.Kind) {
			return nil, nil
		}
		return m.stream(st, m.told(hid(op))), nil
	}
}

// isJSON reports whether documents of that media type are JSON.
func isJSON(kind string) bool {
	return kind == "application/json" || kind == "text/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}
