package mask

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"strconv"
)

// Hash replaces values with a pseudonym, an HMAC-SHA-256 under key: equal
// values have equal pseudonyms, in every table and format, so joins and counts
// work; without the key nobody can compute one. Pseudonyms of
// different domains have nothing in common: give columns that need not be
// compared a domain of their own. The domain may be empty.
//
// Text and XML become 32 hexadecimal digits (128 bits), behind the key's name if it
// has one (see [Key.Named]), JSON a string of them, bytea
// 16 bytes, a uuid one of version 8 (122 bits). Integers become one that is
// not negative and fits: that of a narrower type is the low bits of a wider one's, and
// different values of a small integer type may share it. What else there is becomes NULL.
func Hash(key Key, domain string) Transform { return keyedHash{key, domain} }

type keyedHash struct {
	key    Key
	domain string
}

// Bind implements [Transform].
func (k keyedHash) Bind(t Type) (Func, error) {
	if err := k.check("hash"); err != nil {
		return nil, err
	}
	binaryForm := t.Encoding == PostgresBinary
	prefix := ""
	if k.key.id != "" {
		prefix = k.key.id + "_"
	}
	switch t.Kind {
	case Text, XML:
		p := k.pseudonym("text")
		return func(dst, in []byte) []byte { return hex.AppendEncode(append(dst, prefix...), p.of(in)[:16]) }, nil
	case Padded:
		p := k.pseudonym("text")
		return func(dst, in []byte) []byte {
			return hex.AppendEncode(append(dst, prefix...), p.of(bytes.TrimRight(in, " "))[:16])
		}, nil
	case JSON, JSONB:
		p := k.pseudonym("json")
		version := t.Kind == JSONB && binaryForm
		return func(dst, in []byte) []byte {
			if version {
				if len(in) == 0 || in[0] != 1 {
					return nil
				}
				dst, in = append(dst, 1), in[1:]
			}
			dst = append(append(dst, '"'), prefix...)
			return append(hex.AppendEncode(dst, p.of(in)[:16]), '"')
		}, nil
	case Int2, Int4, Int8, OID:
		return k.integer(t.Kind, binaryForm), nil
	case UUID:
		return k.uuid(binaryForm), nil
	case Bytes:
		return k.bytea(binaryForm), nil
	}
	return constant(nil), nil
}

// check says what is wrong with the settings of the transform of that name.
func (k keyedHash) check(name string) error {
	switch {
	case k.key.bytes == nil:
		return errors.New(name + ": no key")
	case len(k.domain) > 256:
		return errors.New(name + ": the domain is longer than 256 bytes")
	}
	return nil
}

func (k keyedHash) integer(kind Kind, binaryForm bool) Func {
	p := k.pseudonym("int")
	width, limit := 8, uint64(1<<63-1)
	switch kind {
	case Int2:
		width, limit = 2, 1<<15-1
	case Int4:
		width, limit = 4, 1<<31-1
	case OID:
		width, limit = 4, 1<<32-1
	}
	canon := make([]byte, 8)
	be := binary.BigEndian
	return func(dst, in []byte) []byte {
		var v int64
		switch {
		case !binaryForm:
			if len(in) > 20 { // longer than any 64-bit integer
				return nil
			}
			var err error
			if v, err = strconv.ParseInt(string(in), 10, 64); err != nil {
				return nil
			}
		case len(in) != width:
			return nil
		case kind == Int2:
			v = int64(int16(be.Uint16(in)))
		case kind == Int4:
			v = int64(int32(be.Uint32(in)))
		case kind == OID:
			v = int64(be.Uint32(in))
		default:
			v = int64(be.Uint64(in))
		}
		be.PutUint64(canon, uint64(v))
		out := be.Uint64(p.of(canon)) & limit
		switch {
		case !binaryForm:
			return strconv.AppendUint(dst, out, 10)
		case width == 2:
			return be.AppendUint16(dst, uint16(out))
		case width == 4:
			return be.AppendUint32(dst, uint32(out))
		}
		return be.AppendUint64(dst, out)
	}
}

func (k keyedHash) uuid(binaryForm bool) Func {
	p := k.pseudonym("uuid")
	canon := make([]byte, 16)
	return func(dst, in []byte) []byte {
		if binaryForm {
			if len(in) != 16 {
				return nil
			}
			copy(canon, in)
		} else if !parseUUID(canon, in) {
			return nil
		}
		sum := p.of(canon)[:16]
		sum[6] = sum[6]&0x0f | 0x80 // version 8: a form of one's own (RFC 9562)
		sum[8] = sum[8]&0x3f | 0x80
		if binaryForm {
			return append(dst, sum...)
		}
		return appendUUID(dst, sum)
	}
}

func (k keyedHash) bytea(binaryForm bool) Func {
	p := k.pseudonym("bytes")
	if binaryForm {
		return func(dst, in []byte) []byte { return append(dst, p.of(in)[:16]...) }
	}
	// The server's text is hashed after decoding, in pieces, so that both
	// formats agree and a long value needs no second copy.
	piece := make([]byte, 512)
	return func(dst, in []byte) []byte {
		in, ok := bytes.CutPrefix(in, []byte(`\x`))
		if !ok || len(in)%2 != 0 { // bytea_output = escape
			return nil
		}
		p.h.Reset()
		for len(in) > 0 {
			n := min(len(in), 2*len(piece))
			m, err := hex.Decode(piece, in[:n])
			if err != nil {
				return nil
			}
			p.h.Write(piece[:m])
			in = in[n:]
		}
		return hex.AppendEncode(append(dst, `\x`...), p.sum()[:16])
	}
}

// A pseudonymizer computes HMACs under one key without allocating.
type pseudonymizer struct {
	h   hash.Hash
	buf [sha256.Size]byte
}

// pseudonym returns the pseudonymizer for one domain and sort of value.
func (k keyedHash) pseudonym(sort string) *pseudonymizer {
	return &pseudonymizer{h: hmac.New(sha256.New, k.derive(sort))}
}

// derive returns the key, of 32 bytes, for one domain and sort of value, made of the
// configured one. The label's parts are length-prefixed, so that no two pairs share
// it.
func (k keyedHash) derive(sort string) []byte {
	label := []byte("sallyport/mask/hash/v1")
	label = append(append(label, byte(len(sort))), sort...)
	label = append(binary.BigEndian.AppendUint16(label, uint16(len(k.domain))), k.domain...)
	d := hmac.New(sha256.New, *k.key.bytes)
	d.Write(label)
	return d.Sum(nil)
}

// of returns the HMAC of v, valid until the next call.
func (p *pseudonymizer) of(v []byte) []byte {
	p.h.Reset()
	p.h.Write(v)
	return p.sum()
}

func (p *pseudonymizer) sum() []byte { return p.h.Sum(p.buf[:0]) }

// parseUUID decodes the form with hyphens that PostgreSQL prints.
func parseUUID(dst, in []byte) bool {
	if len(in) != 36 || in[8] != '-' || in[13] != '-' || in[18] != '-' || in[23] != '-' {
		return false
	}
	at := 0
	for _, part := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		n, err := hex.Decode(dst[at:], in[part[0]:part[1]])
		if err != nil {
			return false
		}
		at += n
	}
	return true
}

func appendUUID(dst, u []byte) []byte {
	for i, part := range [...][]byte{u[0:4], u[4:6], u[6:8], u[8:10], u[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}
