package detect

// date reports whether the groups a to b-1 are a day of this or the last
// century: 1985-03-12, 12.3.1985, 03/12/1985, 12/03/85.
func (s *scan) date(r *run, a, b int, shape uint64) bool {
	if b-a != 3 {
		return false
	}
	x, y, z := number(r.of(a, a+1)), number(r.of(a+1, a+2)), number(r.of(a+2, b))
	switch shape {
	case 0x422, 0x411, 0x412, 0x421:
		return s.livedIn(x) && day(x, y, z)
	case 0x224, 0x114, 0x124, 0x214:
		return s.livedIn(z) && (day(z, y, x) || day(z, x, y))
	case 0x222:
		return day(4, y, x) || day(4, x, y) || day(4, y, z)
	}
	return false
}

// birth notes a day of birth if it is called one: by its field, or by a word
// that stands nearer to it than any other number.
func (s *scan) birth(start, end int) bool {
	if !s.d.on[birthDate] || !s.said(aboutBirth) || s.near(start, end).words&aboutBirth == 0 {
		return false
	}
	from := start
	for from > 0 && start-from < maxNear && !isDigit(s.text[from-1]) {
		from--
	}
	if s.field.words&aboutBirth == 0 && s.d.wordsIn(s.text[from:start]).words&aboutBirth == 0 {
		return false
	}
	return s.add(birthDate, start, end, 20, aboutBirth)
}

func (s *scan) livedIn(year int) bool { return 1900 <= year && year <= s.d.thisYear }

// compactDate is 19850312.
func compactDate(d []byte, thisYear int) bool {
	year := number(d[:4])
	return 1900 <= year && year <= thisYear && day(year, number(d[4:6]), number(d[6:]))
}

var months = map[string]int{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
	"mär": 3, "mai": 5, "okt": 10, "dez": 12, "avr": 4, "fév": 2, "juin": 6, "juil": 7, "aoû": 8, "déc": 12, "ene": 1, "abr": 4, "ago": 8, "dic": 12}

// monthLetters are the first letters of months, a bit each.
var monthLetters = func() (m uint32) {
	for name := range months {
		m |= 1 << (name[0] & 31)
	}
	return m
}()

// monthAt returns the month whose name begins at i, and where the name ends.
func (s *scan) monthAt(i int) (month, end int) {
	end = i
	for end < len(s.text) && isWord(s.text[end]) && end-i < 12 {
		end++
	}
	var b [4]byte
	n := 0
	for k := i; k < end && n < len(b); k++ {
		c := s.text[k]
		if class[c] == upper {
			c += 'a' - 'A'
		}
		b[n] = c
		n++
	}
	if monthLetters>>(b[0]&31)&1 == 0 {
		return 0, end
	}
	if m := months[string(b[:n])]; m != 0 {
		return m, end
	}
	return months[string(b[:min(n, 3)])], end
}

// spelledDate looks at "12 March 1985" and "12-Mar-1985" at i.
func (s *scan) spelledDate(i int) {
	at := i
	dd := 0
	for ; isDigit(s.at(at)); at++ {
		dd = dd*10 + int(s.text[at]-'0')
	}
	month, at := s.monthAt(at + 1)
	if month == 0 {
		return
	}
	if s.at(at) == ',' || s.at(at) == '.' {
		at++
	}
	if year, end := s.yearAt(at); year != 0 && day(year, month, dd) {
		s.birth(i, end)
	}
}

// monthFirst looks at "March 12, 1985" at i, and returns where it ends or j.
func (s *scan) monthFirst(i, j int) int {
	month, at := s.monthAt(i)
	if month == 0 {
		return j
	}
	if s.at(at) == '.' {
		at++
	}
	if s.at(at) != ' ' {
		return j
	}
	at++
	dd := 0
	for n := 0; isDigit(s.at(at)) && n < 3; n++ {
		dd = dd*10 + int(s.text[at]-'0')
		at++
	}
	switch string([]byte{s.at(at), s.at(at + 1)}) {
	case "st", "nd", "rd", "th":
		at += 2
	}
	if s.at(at) == ',' {
		at++
	}
	if year, end := s.yearAt(at); year != 0 && day(year, month, dd) && s.birth(i, end) {
		return end
	}
	return j
}

// yearAt returns the year behind a space at i.
func (s *scan) yearAt(i int) (year, end int) {
	if s.at(i) != ' ' && s.at(i) != '-' || i+5 > len(s.text) || isDigit(s.at(i+5)) {
		return 0, i
	}
	for _, c := range s.text[i+1 : i+5] {
		if !isDigit(c) {
			return 0, i
		}
	}
	if year = number(s.text[i+1 : i+5]); !s.livedIn(year) {
		return 0, i
	}
	return year, i + 5
}
