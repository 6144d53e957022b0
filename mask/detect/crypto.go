package detect

import (
	"bytes"
	"crypto/sha256"

	"golang.org/x/crypto/sha3"
)

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58check reports whether w is a Bitcoin address of the older kinds: 25
// bytes in base 58, of which the last four are a checksum.
func base58check(w []byte) bool {
	var b [25]byte
	for _, c := range w {
		v := bytes.IndexByte([]byte(base58), c)
		if v < 0 {
			return false
		}
		for i := len(b) - 1; i >= 0; i-- {
			v += int(b[i]) * 58
			b[i] = byte(v)
			v >>= 8
		}
		if v != 0 {
			return false
		}
	}
	one := sha256.Sum256(b[:21])
	two := sha256.Sum256(one[:])
	return (b[0] == 0 || b[0] == 5) && bytes.Equal(two[:4], b[21:])
}

const bech32Letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 reports whether w is a Bitcoin address that begins with bc1 (BIP 173
// and 350).
func bech32(w []byte) bool {
	if len(w) > 90 {
		return false
	}
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 != 0 {
				sum ^= g
			}
		}
	}
	for _, v := range [...]byte{'b' >> 5, 'c' >> 5, 0, 'b' & 31, 'c' & 31} {
		step(v)
	}
	small, capital := false, false
	for _, c := range w {
		small, capital = small || class[c] == lower, capital || class[c] == upper
	}
	if small && capital {
		return false
	}
	for _, c := range w[3:] {
		if class[c] == upper {
			c += 'a' - 'A'
		}
		v := bytes.IndexByte([]byte(bech32Letters), c)
		if v < 0 {
			return false
		}
		step(byte(v))
	}
	return sum == 1 || sum == 0x2bc830a3
}

// eth looks at text[i:j], 0x and 40 characters. With letters of both cases they
// are an Ethereum address's checksum (EIP-55).
func (s *scan) eth(i, j int) {
	w := s.text[i+2 : j]
	small, capital := false, false
	var low [40]byte
	for k, c := range w {
		if !isHex(c) {
			return
		}
		if class[c] == upper {
			capital = true
			c += 'a' - 'A'
		} else if class[c] == lower {
			small = true
		}
		low[k] = c
	}
	if !s.d.on[ethereum] {
		return
	}
	if !small || !capital {
		s.add(ethereum, i, j, 40, aboutETH)
		return
	}
	h := sha3.NewLegacyKeccak256()
	h.Write(low[:])
	sum := h.Sum(nil)
	for k, c := range w {
		nibble := sum[k/2] >> 4
		if k%2 == 1 {
			nibble = sum[k/2] & 15
		}
		if isLetter(c) && (class[c] == upper) != (nibble >= 8) {
			return
		}
	}
	s.add(ethereum, i, j, 95, 0)
}
