package middleware

import (
	"strings"

	"github.com/sallyport-dev/gateway/mask/detect"
	"github.com/sallyport-dev/gateway/protocol"
)

// documents returns the tap that masks the documents of op's result.
func (m *masking) documents(op *protocol.Operation) func(string) (protocol.DocFunc, error) {
	return func(kind string) (protocol.DocFunc, error) {
		switch {
		case isJSON(kind):
		case globAny(m.passKinds, kind):
			return nil, nil
		case isText(kind) && !m.set.HasFields():
			texts := m.set.Texts(m.told(op.MarkMasked))
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
		docs := m.set.Documents(m.told(op.MarkMasked))
		return func(doc []byte) ([]byte, error) {
			out, err := docs.JSON(doc)
			if err != nil { // its text may quote the document
				return nil, &protocol.DeniedError{Step: "mask", Reason: "the result is not JSON that can be read, so masked fields cannot be hidden in it"}
			}
			return out, nil
		}, nil
	}
}

// isJSON reports whether documents of that media type are JSON.
func isJSON(kind string) bool {
	return kind == "application/json" || kind == "text/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}
