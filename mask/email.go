package mask

import "bytes"

// Email shows the domain of an address: "***@example.com". Text that is not
// one plain address is hidden whole, as by [Redact], and so is a value of any
// type but text.
func Email() Transform {
	return transformOf("email", func(t Type) (Func, error) {
		if t.Kind != Text && t.Kind != Padded {
			return constant(t.redacted()), nil
		}
		return func(dst, in []byte) []byte {
			dst = append(dst, stars...)
			if d := emailDomain(bytes.TrimRight(in, " ")); d != nil {
				dst = append(append(dst, '@'), d...)
			}
			return dst
		}, nil
	})
}

// emailDomain returns the domain of an address, or nil if in is not clearly an
// address: with two at signs, or a name without a top-level domain, what
// stands behind the sign may be the secret.
func emailDomain(in []byte) []byte {
	at := bytes.IndexByte(in, '@')
	if at < 1 || at != bytes.LastIndexByte(in, '@') {
		return nil
	}
	domain := in[at+1:]
	if len(domain) > 253 {
		return nil
	}
	label, letters := 0, true // of the label being read
	dots := 0
	for _, c := range domain {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			label++
		case c >= '0' && c <= '9' || c == '-':
			label++
			letters = false
		case c == '.' && label > 0:
			dots++
			label, letters = 0, true
		default:
			return nil
		}
		if label > 63 {
			return nil
		}
	}
	if dots == 0 || label < 2 || !letters {
		return nil
	}
	return domain
}
