package detect

// dialing returns how many digits a number has, the country's code included,
// and how long that code is; 0 if there is no such country (ITU E.164).
func dialing(d []byte) (code, least, most int) {
	if len(d) < 3 {
		return 0, 0, 0
	}
	switch number(d[:2]) {
	case 20:
		return 2, 10, 12
	case 27, 33, 34, 40, 41, 48, 56, 61, 93, 94:
		return 2, 11, 11
	case 30, 58, 90, 91, 98:
		return 2, 12, 12
	case 31:
		return 2, 11, 12
	case 32, 36, 51:
		return 2, 10, 11
	case 39:
		return 2, 8, 13
	case 43:
		return 2, 8, 15
	case 44:
		return 2, 11, 12
	case 45, 47, 53, 65:
		return 2, 10, 10
	case 46:
		return 2, 9, 12
	case 49:
		return 2, 9, 14
	case 52, 54, 55:
		return 2, 12, 13
	case 57, 63, 81, 84, 92:
		return 2, 11, 12
	case 60, 64:
		return 2, 10, 12
	case 62:
		return 2, 10, 14
	case 66, 82:
		return 2, 10, 12
	case 86:
		return 2, 11, 13
	case 95:
		return 2, 9, 12
	}
	switch d[0] {
	case '1', '7':
		return 1, 11, 11
	}
	switch n := number(d[:3]); n {
	case 990, 991, 997, 999, 210, 214, 215, 217, 219, 259, 384, 388, 422, 424, 699, 801, 851, 854, 857, 858, 884, 887, 889, 969, 978:
		return 0, 0, 0
	}
	switch n := number(d[:3]); n / 10 {
	case 22, 23, 24, 26, 35, 37, 50, 59, 67, 85, 96:
		return 3, 8, 13
	case 21, 25, 29, 38, 42, 68, 69, 80, 87, 88, 97, 99:
		return 3, 8, 13
	}
	return 0, 0, 0
}

// nanpValid is a number of ten digits of North America's plan: an area and an
// exchange that there can be.
func nanpValid(d []byte) bool {
	switch string(d[:3]) {
	case "200", "300", "400":
		return false
	}
	return d[0] >= '2' && d[3] >= '2' && (d[1] != '1' || d[2] != '1') && (d[4] != '1' || d[5] != '1') && !same(d) && d[1] != '9'
}

// international reports whether d, without the plus sign, is a number of some
// country.
func international(d []byte) bool {
	code, least, most := dialing(d)
	if code == 0 || len(d) < least || len(d) > most || same(d[code:]) {
		return false
	}
	return d[0] != '1' || nanpValid(d[1:])
}

// phone looks at a number that begins at i with a plus sign or a bracket, and
// returns where to go on.
func (s *scan) phone(i int) int {
	text := s.text
	if i > 0 && (isAlnum(text[i-1]) || text[i-1] == '+' || text[i-1] == '/' || text[i-1] == '=' && s.base64(i)) {
		return i + 1
	}
	var d [16]byte
	plus := text[i] == '+'
	n, best, at := 0, 0, i
	if plus {
		at++
	}
	brackets, area := 0, 0
	for at < len(text) && at-i < 40 {
		c := text[at]
		switch {
		case isDigit(c):
			if n == len(d) {
				n++ // too long
				break
			}
			d[n] = c
			n++
			if !isDigit(s.at(at+1)) && n <= 15 && (isDigit(text[at-1]) || best == 0) { // a last digit alone is another number
				if brackets == 0 && s.phoneEnds(at+1) && (plus && international(d[:n]) || !plus && s.bracketed(d[:n], area)) {
					best = at + 1
				}
			}
		case c == '(' && brackets == 0 && isDigit(s.at(at+1)):
			if s.at(at+1) == '0' && s.at(at+2) == ')' && plus { // +49 (0)30: not dialed from abroad
				if at += 2; s.at(at+1) == ' ' {
					at++
				}
				break
			}
			brackets++
		case c == ')' && brackets == 1:
			brackets--
			area = n
		case (c == ' ' || c == '-' || c == '.' || c == '/') && at+1 < len(text) && (isDigit(text[at+1]) || text[at+1] == '('):
		case c == ' ' && (s.at(at+1) == '-' || s.at(at+1) == '/') && s.at(at+2) == ' ' && isDigit(s.at(at+3)):
			at += 2
		case class[c] == high:
			_, width := s.joint(at)
			if next := s.at(at + width); width == 0 || !isDigit(next) && next != '(' {
				goto done
			}
			at += width - 1
		default:
			goto done
		}
		if n > len(d) {
			break
		}
		at++
	}
done:
	if best == 0 {
		return i + 1
	}
	base := 90
	if !plus {
		base = 75
	}
	if !s.add(phone, i, best, base, aboutPhone) {
		return i + 1
	}
	return best
}

// bracketed reports whether d is a national number whose first area digits
// stand in brackets.
func (s *scan) bracketed(d []byte, area int) bool {
	switch {
	case area == 0:
		return false
	case d[0] == '+':
		return false
	case d[0] == '0':
		return area >= 2 && len(d) >= 8 && len(d) <= 12
	case area == 3 && len(d) == 10:
		return nanpValid(d)
	case area == 2 && (len(d) == 10 || len(d) == 11): // Brazil: (11) 98765-4321
		return d[0] != '0' && d[1] != '0'
	}
	return false
}

// phoneEnds reports whether a number may end before the byte at i.
func (s *scan) phoneEnds(i int) bool {
	switch c := s.at(i); {
	case isAlnum(c):
		return c == 'x' && isDigit(s.at(i+1)) // an extension
	case c == '-', c == '_':
		return !isAlnum(s.at(i + 1))
	case c == '.', c == '/':
		return !isDigit(s.at(i + 1))
	}
	return true
}

// base64 reports whether what stands before i may be the end of base64, in
// which plus signs are digits.
func (s *scan) base64(i int) bool {
	return i > 8 && isAlnum(s.text[i-2]) && isAlnum(s.text[i-3]) && isAlnum(s.text[i-4])
}

// nanp looks at groups of 3, 3 and 4 digits, with a 1 before them or without.
func (s *scan) nanp(r *run, a, b int, d []byte) bool {
	if len(d) == 11 {
		if d[0] != '1' {
			return false
		}
		d = d[1:]
	}
	sep := r.sep[b-1]
	if !nanpValid(d) || r.sep[b-2] != sep || sep == '/' {
		return false
	}
	base := 65
	if sep == ' ' { // three numbers that happen to stand together
		base = 30
		if a == 0 && b == r.n {
			base = 55
		}
	}
	return s.add(phone, r.start[a], r.end[b-1], base, aboutPhone)
}

// phoneNational looks at numbers that begin with a zero and are grouped as in
// the countries where most are written so.
func (s *scan) phoneNational(d []byte, start, end int, shape uint64, sep byte) bool {
	if d[0] != '0' || sep == 0 {
		return false
	}
	ok := false
	switch shape {
	case 0x22222: // France, Belgium
		ok = d[1] != '0' && sep != '/'
	case 0x56: // United Kingdom: 07700 900123
		ok = d[1] == '7' || d[1] == '1'
	case 0x533, 0x344, 0x434:
		ok = sep == ' ' && (d[1] == '1' || d[1] == '2' || d[1] == '7')
	case 0x433: // Australia: 0412 345 678
		ok = sep == ' ' && d[1] == '4'
	case 0x47, 0x48: // Germany: 0171 1234567
		ok = d[1] == '1' && d[2] >= '5' && d[2] <= '7'
	}
	return ok && s.add(phone, start, end, 58, aboutPhone)
}

// phoneGroups looks at any other grouping of a number.
func (s *scan) phoneGroups(r *run, a, b int, d []byte, shape uint64, sep byte) bool {
	if !s.d.on[phone] || len(d) < 7 || len(d) > 15 || a != 0 && b != r.n || same(d) {
		return false
	}
	start, end := r.start[a], r.end[b-1]
	if s.phoneNational(d, start, end, shape, sep) {
		return true
	}
	if r.end[a]-r.start[a] == 4 && b-a > 2 && s.date(r, a, b, shape) || len(d) == 8 && s.date(r, a, b, shape) {
		return false
	}
	base := 20
	if d[0] == '0' && d[1] == '0' && len(d) > 9 && international(d[2:]) && r.end[a]-r.start[a] <= 5 {
		base = 70
	}
	return s.phoneAdd(start, end, base)
}

// phoneDigits looks at a number without separators.
func (s *scan) phoneDigits(d []byte, start, end int) bool {
	if !s.d.on[phone] || len(d) < 7 || len(d) > 15 || same(d) {
		return false
	}
	return s.phoneAdd(start, end, 20)
}

// phoneAdd is for what is no number of a telephone but by its context, which
// must not say that it is another's.
func (s *scan) phoneAdd(start, end, base int) bool {
	if base < s.d.min && !s.said(aboutPhone) {
		return false
	}
	if near := s.near(start, end).words; near&other != 0 && s.field.words&aboutPhone == 0 {
		return false
	}
	return s.add(phone, start, end, base, aboutPhone)
}
