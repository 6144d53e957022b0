package detect

const maxGroups = 8

// A run is digits in groups, with one separator before each group but the
// first: "4111 1111 1111 1111".
type run struct {
	n          int
	start, end [maxGroups]int
	sep        [maxGroups]byte // before the group
	off        [maxGroups + 1]int
	digits     [40]byte
	left       bool // joined to something before, as in "AB-123"
	right      bool // or behind
}

// of returns the digits of the groups a to b-1.
func (r *run) of(a, b int) []byte { return r.digits[r.off[a]:r.off[b]] }

// number looks at a run of digits whose first group is text[i:j], and returns
// where to go on.
func (s *scan) number(i, j int) int {
	text := s.text
	if j-i < 6 { // the common number
		if _, width := s.joint(j); width == 0 || !isDigit(s.at(j+width)) {
			return s.alone(i, j)
		}
	}
	var r run
	for at := i; ; at++ {
		start, total := at, r.off[r.n]
		for at < len(text) && isDigit(text[at]) && total < len(r.digits) {
			r.digits[total] = text[at]
			total++
			at++
		}
		if at < len(text) && isAlnum(text[at]) { // a word that begins with digits, or too many
			if r.n == 0 {
				return max(at, j)
			}
			r.right = text[start-1] != ' '
			break
		}
		r.start[r.n], r.end[r.n] = start, at
		r.n++
		r.off[r.n] = total
		sep, width := s.joint(at)
		if r.n == maxGroups || width == 0 || !isDigit(s.at(at+width)) {
			break
		}
		r.sep[r.n] = sep
		at += width - 1
	}
	end := r.end[r.n-1]
	switch s.at(i - 1) {
	case '-', '.', '_', '\\':
		r.left = isAlnum(s.at(i - 2))
	case '+': // of a telephone, which has been looked at
		r.left = true
	case '/':
		r.left = s.at(i-2) != '/'
	}
	switch s.at(end) {
	case '-':
		r.right = r.right || isAlnum(s.at(end+1))
	case '_':
		r.right = true
	case '.', '/', '\\':
		r.right = r.right || class[s.at(end+1)]&(lower|digit) != 0
	}
	if r.n == 2 && r.sep[1] == '.' && r.end[0]-i >= 9 && end-r.start[1] <= 2 && number(r.of(1, 2)) == 0 { // a whole number that was made a fraction
		r.n, end = 1, r.end[0]
	}
	if r.n == 1 && end-i < 6 {
		return s.alone(i, end)
	}
	if n := r.end[0] - i; s.at(r.end[0]) == ':' && n >= 8 && n <= 10 && s.d.on[secretToken] {
		if e := s.telegram(i, r.end[0]); e > 0 {
			return e
		}
	}
	for a := 0; a < r.n; a++ {
		if a > 0 && r.sep[a] != ' ' {
			continue
		}
		for b := r.n; b > a; b-- {
			if b < r.n && r.sep[b] != ' ' && r.sep[b] != '/' {
				continue
			}
			if s.groups(&r, a, b) {
				a = b - 1
				break
			}
		}
	}
	if len(s.out) > s.first && s.out[len(s.out)-1].End > end {
		return s.out[len(s.out)-1].End // joined to what is behind, as a letter
	}
	return end
}

// alone is for a number of at most five digits that stands alone, in which
// nothing is found but the beginning of a longer value.
func (s *scan) alone(i, end int) int {
	if s.at(end) == ':' && end-i <= 4 {
		return s.colons(i, end)
	}
	if s.at(end) == ';' && s.at(i-1) == '#' && s.at(i-2) == '&' && end-i == 2 && string(s.text[i:end]) == "64" && s.d.on[email] { // in HTML
		s.email(i-2, 5)
	}
	if c := s.at(end); s.d.on[birthDate] && (c == ' ' || c == '-') && end-i <= 2 && isLetter(s.at(end+1)) {
		s.spelledDate(i)
	}
	return end
}

// fours reports whether the groups a to b-1 stand among more groups of four with the
// same separator, a longer number than a card's, which are no cards themselves. One
// behind them may be a year.
func (r *run) fours(a, b int) bool {
	from, to, sep := a, b, r.sep[a+1]
	for from > 0 && r.four(from-1) && r.sep[from] == sep {
		from--
	}
	for r.four(to) && r.sep[to] == sep {
		to++
	}
	for k := from; to-k > 1; k += 4 {
		if k == a {
			k = b - 4
		} else if to-k < 4 || k < a && a-k < 4 || !issued(r.of(k, k+4)) || !luhn(r.of(k, k+4)) {
			return true
		}
	}
	return false
}

// four reports whether the group k is there and has four digits.
func (r *run) four(k int) bool { return k >= 0 && k < r.n && r.end[k]-r.start[k] == 4 }

// joint returns what may stand between the groups of a number at i, and how wide it
// is; 0 if it is something else. The spaces and dashes of typesetting, as in what was
// copied from a page, are a space and a dash.
func (s *scan) joint(i int) (sep byte, width int) {
	switch c := s.at(i); c {
	case ' ', '-', '.', '/':
		return c, 1
	case 0xc2:
		if s.at(i+1) == 0xa0 {
			return ' ', 2
		}
	case 0xe2:
		switch b, c := s.at(i+1), s.at(i+2); {
		case b == 0x80 && (c >= 0x80 && c <= 0x8a || c == 0xaf): // U+2000 to U+200A, U+202F
			return ' ', 3
		case b == 0x80 && c >= 0x90 && c <= 0x95, b == 0x88 && c == 0x92: // U+2010 to U+2015, U+2212
			return '-', 3
		}
	}
	return 0, 0
}

// groups looks at the groups a to b-1 as one value, and reports whether it is one.
func (s *scan) groups(r *run, a, b int) bool {
	d := r.of(a, b)
	start, end := r.start[a], r.end[b-1]
	joined := r.left && a == 0 || r.right && b == r.n
	if b-a == 1 {
		return s.digits(d, start, end, joined)
	}
	var shape uint64 // the groups' lengths, a hexadecimal digit each
	sep := r.sep[a+1]
	for k := a; k < b; k++ {
		n := r.end[k] - r.start[k]
		if n > 15 {
			return false
		}
		shape = shape<<4 | uint64(n)
		if k > a && r.sep[k] != sep {
			sep = 0 // not one separator
		}
	}
	if joined && s.near(start, end).words&^other == 0 {
		return false
	}
	if sep == '.' && b-a == 4 && s.ipv4(r, a, b) {
		return true
	}
	if len(d) < 6 {
		return false
	}
	found := false
	switch shape {
	case 0x4444, 0x44443, 0x465, 0x464, 0x4441:
		found = sep != 0 && sep != '/' && !r.fours(a, b) && s.card(d, start, end, 90)
	case 0x324:
		found = sep != 0 && sep != '/' && s.ssn(d, start, end, sep)
	case 0x1334, 0x334:
		found = s.nanp(r, a, b, d)
		if shape == 0x334 && nhs(d) {
			found = s.add(gbNHS, start, end, 20, aboutNHS) || found
		}
	case 0x333:
		found = s.nine(d, start, end)
	case 0x27:
		found = sep == '-' && ein(d) && s.add(usEIN, start, end, 30, aboutEIN|aboutTax)
	case 0x444:
		found = sep != 0 && sep != '/' && !r.four(a-1) && !r.four(b) && d[0] > '1' && verhoeff(d) && s.add(inAadhaar, start, end, 55, aboutAadhaar|aboutNational)
	case 0x3332:
		found = r.sep[a+1] == '.' && r.sep[a+2] == '.' && r.sep[a+3] == '-' && cpf(d) && s.add(brCPF, start, end, 75, aboutCPF|aboutTax)
	case 0x23342:
		found = r.sep[a+1] == '.' && r.sep[a+3] == '/' && cnpj(d) && s.add(brCNPJ, start, end, 80, aboutCNPJ)
	case 0x14521:
		found = sep == '-' && thai(d) && s.add(thID, start, end, 75, aboutTH|aboutNational)
	case 0x2333:
		found = sep == ' ' && (abn(d) && s.add(auABN, start, end, 60, aboutABN) || deTax(d) && s.add(deTaxID, start, end, 40, aboutDETax|aboutTax))
	case 0x64:
		found = sep == '-' && s.northern(d, start, end)
	case 0x84:
		found = sep == '-' && day(number(d[:4]), number(d[4:6]), number(d[6:8])) && luhn(d[2:]) && s.add(sePersonnummer, start, end, 40, aboutSE|aboutNational)
	case 0x67:
		found = sep == '-' && s.rrn(d, start, end)
	case 0x65:
		found = sep == ' ' && fnr(d) && !s.against(start, end, aboutPhone) && s.add(noFNR, start, end, 60, aboutNO|aboutNational)
	case 0x6421, 0x643:
		found = sep == ' ' && zaNumber(d) && s.add(zaID, start, end, 60, aboutZA|aboutNational)
	case 0x2661:
		found = sep == '-' && luhn(d) && s.add(imei, start, end, 60, aboutIMEI)
	case 0x451:
		found = sep == ' ' && medicareAU(d) && s.add(auMedicare, start, end, 55, aboutMedicare)
	case 0x1222332:
		found = nir(d) && s.add(frNIR, start, end, 80, aboutNIR)
	case 0x422, 0x224, 0x114, 0x124, 0x214, 0x222, 0x411, 0x412, 0x421:
		if sep != 0 && sep != ' ' {
			if s.date(r, a, b, shape) {
				return s.birth(start, end)
			}
		}
	case 0x22222:
		found = s.phoneNational(d, start, end, shape, sep)
	}
	return found || s.phoneGroups(r, a, b, d, shape, sep)
}

// digits looks at a number without separators.
func (s *scan) digits(d []byte, start, end int, joined bool) bool {
	if len(d) < 7 || len(d) > 19 {
		return false
	}
	if joined && s.near(start, end).words&^other == 0 {
		return false
	}
	// With context the context decides; without one only what has more than one
	// check digit counts.
	found := false
	try := func(ok bool, k id, base int, context uint64) {
		found = ok && s.add(k, start, end, base, context) || found
	}
	switch len(d) {
	case 8:
		if compactDate(d, s.d.thisYear) {
			return s.birth(start, end)
		}
	case 9:
		found = s.nine(d, start, end)
	case 10:
		try(luhnNPI(d), usNPI, 20, aboutNPI)
		try(nhs(d), gbNHS, 20, aboutNHS)
		try(seNumber(d), sePersonnummer, 20, aboutSE|aboutNational)
		try(dkNumber(d), dkCPR, 20, aboutDK|aboutNational)
		try(medicareAU(d), auMedicare, 20, aboutMedicare)
	case 11:
		try(fnr(d), noFNR, 45, aboutNO|aboutNational)
		try(turkish(d), trID, 45, aboutTR|aboutNational)
		try(cpf(d), brCPF, 45, aboutCPF|aboutTax)
		try(pesel(d), plPESEL, 45, aboutPESEL|aboutNational)
		try(deTax(d), deTaxID, 40, aboutDETax|aboutTax)
		try(abn(d), auABN, 40, aboutABN)
	case 12:
		try(d[0] > '1' && verhoeff(d), inAadhaar, 20, aboutAadhaar|aboutNational)
		try(day(number(d[:4]), number(d[4:6]), number(d[6:8])) && luhn(d[2:]), sePersonnummer, 20, aboutSE|aboutNational)
		found = !found && s.card(d, start, end, 20) || found
	case 13:
		try(thai(d), thID, 30, aboutTH|aboutNational)
		try(zaNumber(d), zaID, 45, aboutZA|aboutNational)
		try(krNumber(d), krRRN, 40, aboutRRN|aboutNational)
		found = !found && s.card(d, start, end, 60) || found
	case 14:
		try(cnpj(d), brCNPJ, 45, aboutCNPJ)
		found = !found && s.card(d, start, end, 80) || found
	case 15:
		try(nir(d), frNIR, 65, aboutNIR)
		found = !found && s.card(d, start, end, 80) || found
		try(luhn(d) && !same(d), imei, 20, aboutIMEI)
	default:
		if len(d) == 18 && cnNumber(d) {
			try(true, cnID, 65, aboutCN|aboutNational)
		}
		found = !found && s.card(d, start, end, 80) || found
	}
	if found {
		return true
	}
	try(len(d) >= 8 && len(d) <= 9 && passportDigits(d), passport, 20, aboutPassport)
	try(len(d) >= 7 && len(d) <= 10, driverLicense, 20, aboutLicense)
	return found || s.phoneDigits(d, start, end)
}

// nine looks at nine digits, of which most countries have a number.
func (s *scan) nine(d []byte, start, end int) bool {
	grouped := end-start > 9
	found := false
	try := func(ok bool, k id, base int, context uint64) {
		found = ok && s.add(k, start, end, base, context) || found
	}
	if !grouped {
		try(ssnValid(d), usSSN, 20, aboutSSN)
		try(itinValid(d), usITIN, 20, aboutITIN|aboutTax)
		try(ein(d), usEIN, 20, aboutEIN)
		try(abaValid(d), aba, 20, aboutABA)
		try(bsn(d), nlBSN, 20, aboutBSN|aboutNational)
	}
	try(luhn(d) && !same(d), caSIN, 30, aboutSIN|aboutNational)
	try(tfn(d), auTFN, 30, aboutTFN|aboutTax)
	return found
}
