package wire

import "encoding/binary"

// HeaderLen is the length of a PostgreSQL message header: a type byte and a
// 32-bit length that counts itself but not the type (PostgreSQL documentation,
// 55.1 "Message Formats").
const HeaderLen = 5

// Frame reads the header at the start of b. It returns the message's type and
// the length of the whole message, header included; n is 0 if b is too short to
// tell, and an error if the length is impossible or over max.
func Frame(b []byte, maxLen int) (typ byte, n int, err error) {
	if len(b) < HeaderLen {
		return 0, 0, nil
	}
	l := binary.BigEndian.Uint32(b[1:])
	if l < 4 || int64(l)+1 > int64(maxLen) {
		return b[0], 0, ErrTooLarge
	}
	return b[0], int(l) + 1, nil
}
