package detect

import (
	"bytes"
	"net/netip"
)

// ipv4 looks at four groups of digits with dots between them.
func (s *scan) ipv4(r *run, a, b int) bool {
	if !s.d.on[ipAddress] {
		return false
	}
	for k := a; k < b; k++ {
		d := r.of(k, k+1)
		if len(d) > 3 || number(d) > 255 || len(d) > 1 && d[0] == '0' {
			return false
		}
	}
	start := r.start[a]
	if s.against(start, r.end[b-1], aboutVersion) || s.at(start-1) == '/' && s.at(start-2) != '/' {
		return false // a version, as also in Chrome/1.2.3.4
	}
	return s.add(ipAddress, start, r.end[b-1], 95, 0)
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// colons looks at what may be an IPv6 or a hardware address, whose first group
// is text[i:j] with a colon behind it. It returns where to go on.
func (s *scan) colons(i, j int) int {
	for k := i; k < j; k++ {
		if !isHex(s.text[k]) {
			return j
		}
	}
	if s.d.on[macAddress] && j-i == 2 && s.mac(i, ':') {
		return i + 17
	}
	if s.d.on[ipAddress] {
		if end := s.ipv6(i); end > i {
			return end
		}
	}
	return j
}

// ipv6 looks for an IPv6 address at i and returns where it ends, or i.
func (s *scan) ipv6(i int) int {
	if i > 0 && (isAlnum(s.text[i-1]) || s.text[i-1] == ':') {
		return i
	}
	end, colons := i, 0
	for end < len(s.text) && end-i < 46 && (isHex(s.text[end]) || s.text[end] == ':' || s.text[end] == '.') {
		if s.text[end] == ':' {
			colons++
		}
		end++
	}
	if isAlnum(s.at(end)) || colons < 2 {
		return i
	}
	for end > i && (s.text[end-1] == '.' || s.text[end-1] == ':' && s.at(end-2) != ':') {
		end--
	}
	b := s.text[i:end]
	if colons != 7 && !bytes.Contains(b, []byte("::")) || !bytes.ContainsAny(b, "0123456789") || len(b) < 3 {
		return i
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil || !a.Is6() || !s.add(ipAddress, i, end, 95, 0) {
		return i
	}
	return end
}

// mac reports whether six pairs of hexadecimal digits with sep between them
// begin at i.
func (s *scan) mac(i int, sep byte) bool {
	if i+17 > len(s.text) || isAlnum(s.at(i+17)) || s.at(i+17) == sep || s.at(i-1) == sep || isAlnum(s.at(i-1)) {
		return false
	}
	letters := false
	for k := range 17 {
		c := s.text[i+k]
		if k%3 == 2 {
			if c != sep {
				return false
			}
			continue
		}
		if !isHex(c) {
			return false
		}
		letters = letters || isLetter(c)
	}
	return (letters || sep == ':') && s.add(macAddress, i, i+17, 90, 0)
}
