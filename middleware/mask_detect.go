package middleware

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/mask/detect"
	"github.com/sallyport-dev/gateway/protocol"
)

// detect is for rules that name no columns and no fields: what comes back is
// masked where something is found in it.
func (m *masking) detect(op *protocol.Operation) (protocol.Decision, maskTaps) {
	if m.blind(op) && !globAny(m.passKinds, string(op.Verb)) {
		d := protocol.Deny("what is masked in text cannot be hidden in what this returns (" + string(op.Verb) + ")")
		d.Hint = "ask for it as text, such as with cat or a SELECT, or ask whoever runs the gateway to let " + string(op.Verb) + " pass"
		return d, maskTaps{}
	}
	return protocol.Pass, maskTaps{bytes: m.streams(op), text: m.found(op, nil)}.with(m.rowsIfAny(op))
}

// blind reports whether op brings data from the target in a form that nobody
// looks into: a COPY whose rows cannot be told, files, connections.
func (m *masking) blind(op *protocol.Operation) bool {
	switch op.Verb {
	case "copy":
		return op.Shape&protocol.Bytes != 0 && !op.Access.Has(protocol.Write) && !inRows(op)
	case "open":
		return op.Shape == 0 && op.Access.Has(protocol.Read)
	case "subsystem":
		return op.Shape != 0 // sftp has none: its files are opened one by one
	case "scp", "rsync", "git", "forward", "listen", "accept":
		return true
	}
	return false
}

func (m *masking) rowsIfAny(op *protocol.Operation) *rowMask {
	if op.Shape&protocol.Rows == 0 {
		return nil
	}
	return m.rows(op)
}

// streams masks what is found in the streams that come from the target.
func (m *masking) streams(op *protocol.Operation) func(protocol.Stream) (protocol.BytesFunc, error) {
	if op.Shape&protocol.Bytes == 0 || inRows(op) {
		return nil
	}
	return func(st protocol.Stream) (protocol.BytesFunc, error) {
		if st.In {
			return nil, nil
		}
		return m.stream(st, m.told(nil)), nil
	}
}

// stream masks what is found in one stream. In a pause a person sees what there is,
// as of a prompt, and a program, which reads streams with a media type, what can be
// told of it.
func (m *masking) stream(st protocol.Stream, masked func(rule, what string)) protocol.BytesFunc {
	s := m.set.Stream(masked)
	paused := s.Flush
	if st.Kind != "" {
		paused = s.Settled
	}
	return func(chunk []byte, last bool) ([]byte, error) {
		if len(chunk) == 0 && !last {
			return paused(), nil
		}
		return s.Next(chunk, last), nil
	}
}

// told returns what is called for each value that is masked: then, which may be
// nil, with the value's pattern or kind, or in shadow what counts it.
func (m *masking) told(then func(what string)) func(rule, what string) {
	switch {
	case m.counts != nil:
		return func(rule, _ string) { m.counts.add(rule) }
	case then != nil:
		return func(_, what string) { then(what) }
	}
	return nil
}

// found returns the tap that masks what is found in messages, after first, which
// may be nil.
func (m *masking) found(op *protocol.Operation, first protocol.TextFunc) protocol.TextFunc {
	if !m.set.HasDetectors() {
		return first
	}
	texts := m.set.Texts(m.told(nil))
	var none detect.Field
	return func(msg *protocol.Message) error {
		if first != nil {
			if err := first(msg); err != nil {
				return err
			}
		}
		for _, s := range []*string{&msg.Text, &msg.Detail, &msg.Hint, &msg.Where, &msg.Query} {
			if out := texts.Mask(nil, []byte(*s), none); out != nil {
				*s = string(out)
			}
		}
		return nil
	}
}

// detector returns what masks the values of a column that no rule names, or nil.
func (m *masking) detector(op *protocol.Operation, c *protocol.Column) *mask.Column {
	names := []string{c.Name}
	for i := range c.Sources { // what it is called where it comes from counts too, and last
		if s := &c.Sources[i]; !slices.Contains(names, s.Column) {
			names = append(names, s.Column)
		}
	}
	return m.set.Column(strings.Join(names, "."), typeOf(op, c), m.hidIn(op, c))
}

// hidIn counts what is masked in values of a column.
func (m *masking) hidIn(op *protocol.Operation, c *protocol.Column) func(rule, what string) {
	var hidden *protocol.Masked
	return m.told(func(string) {
		if hidden == nil {
			hidden = op.MarkMasked(c.Name)
		}
		hidden.Values.Add(1)
	})
}

// hid counts what is masked in op's result, by what it is.
func hid(op *protocol.Operation) func(what string) {
	return func(what string) { op.MarkMasked(what).Values.Add(1) }
}

// isText reports whether documents of that media type are text that is read line
// by line.
func isText(kind string) bool {
	switch kind {
	case "application/xml", "application/javascript", "application/yaml", "application/x-yaml", "application/x-www-form-urlencoded", "application/toml", "application/sql":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+xml")
}
