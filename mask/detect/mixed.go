package detect

// form describes a word by the classes of its bytes, as in "LLDDDDDDL".
func form(b []byte, pattern string) bool {
	if len(b) != len(pattern) {
		return false
	}
	for i, c := range b {
		if pattern[i] == 'D' != isDigit(c) {
			return false
		}
	}
	return true
}

// mixed looks at text[i:j], a word of letters and digits, and returns where to
// go on.
func (s *scan) mixed(i, j int, bits uint8) int {
	w := s.text[i:j]
	n := j - i
	if n >= 4 && n <= 34 && isLetter(w[0]) && isLetter(w[1]) && isDigit(w[2]) && isDigit(w[3]) {
		if end := s.iban(i); end > 0 {
			return end
		}
	}
	if n <= 4 && (s.at(j) == ':' || s.at(j) == '-') {
		return s.hexGroups(i, j)
	}
	if s.at(i-1) == '\\' && n > 5 && string(w[:5]) == "u0040" && s.d.on[email] { // in JSON
		s.email(i-1, 6)
		return j
	}
	if n == 3 && s.at(j) == ';' && s.at(i-1) == '#' && s.at(i-2) == '&' && w[0]|0x20 == 'x' && string(w[1:]) == "40" && s.d.on[email] { // in HTML
		s.email(i-2, 6)
	}
	if n < 6 {
		if s.at(j) == '-' {
			return s.license(i, j)
		}
		return j
	}
	if isDigit(w[0]) {
		if end := s.hetu(i); end > 0 {
			return end
		}
	}
	if n > 64 {
		return j
	}
	if s.at(j) == '^' && w[0] == 'B' && n > 12 && n <= 20 && allDigits(w[1:]) { // on a card's magnetic stripe
		s.card(w[1:], i+1, j, 90)
		return j
	}
	if s.at(j) == ':' && n >= 11 && n <= 13 && string(w[:3]) == "bot" && allDigits(w[3:]) && s.d.on[secretToken] { // api.telegram.org/bot...
		if end := s.telegram(i+3, j); end > 0 {
			return end
		}
	}
	// What stands in a longer name, such as a path's or a package's, is nobody's
	// number.
	joined := (s.at(i-1) == '-' || s.at(i-1) == '_' || s.at(i-1) == '/' || s.at(i-1) == '.' || s.at(i-1) == '\\') && i > 1 && isAlnum(s.at(i-2)) ||
		(s.at(j) == '-' || s.at(j) == '_') && isAlnum(s.at(j+1)) || s.at(i-1) == '/'
	if joined && s.near(i, j).words&^other == 0 {
		return j
	}
	if bits&lower == 0 && s.upperMixed(w, i, j) {
		return j
	}
	switch {
	case n == 18 && (w[17] == 'X' || w[17] == 'x'):
		if allDigits(w[:17]) && cnNumber(w) {
			s.add(cnID, i, j, 70, aboutCN)
		}
	case n == 42 && w[0] == '0' && w[1] == 'x':
		s.eth(i, j)
	case n >= 26 && n <= 35 && (w[0] == '1' || w[0] == '3'):
		if s.d.on[bitcoin] && base58check(w) {
			s.add(bitcoin, i, j, 95, 0)
		}
	case n >= 14 && (w[0] == 'b' || w[0] == 'B') && (w[1] == 'c' || w[1] == 'C') && w[2] == '1':
		if s.d.on[bitcoin] && bech32(w) {
			s.add(bitcoin, i, j, 95, 0)
		}
	case n == 16 && bits&upper == 0 && codiceFiscale(w):
		s.add(itCF, i, j, 85, aboutCF)
	case n == 9 && bits&upper == 0:
		if form(w, "LLDDDDDDL") && nino(w) {
			s.add(gbNINO, i, j, 20, aboutNINO)
		}
	case n == 10 && bits&upper == 0 && form(w, "LLLLLDDDDL") && panValid(w):
		s.add(inPAN, i, j, 20, aboutPAN|aboutTax)
	case n == 17 && bits&upper == 0:
		if _, checked := vinValid(w); checked {
			s.add(vin, i, j, 20, aboutVIN)
		}
	}
	return j
}

// upperMixed looks at a word of capital letters and digits.
func (s *scan) upperMixed(w []byte, i, j int) bool {
	try := func(ok bool, k id, base int, context uint64) bool { return ok && s.add(k, i, j, base, context) }
	switch len(w) {
	case 8, 11:
		if s.bic(i, j) {
			return true
		}
		if len(w) == 11 && try(mbiValid(w), usMBI, 60, aboutMBI) {
			return true
		}
	case 9:
		switch {
		case form(w, "LLDDDDDDL") && nino(w) && try(true, gbNINO, 55, aboutNINO):
			return true
		case form(w, "DDDDDDDDL") && try(nif(w), esNIF, 55, aboutNIF|general):
			return true
		case form(w, "LDDDDDDDL") && (try(nie(w), esNIF, 55, aboutNIF|general) || try(nric(w), sgNRIC, 55, aboutNRIC|aboutNational)):
			return true
		}
	case 10:
		if try(form(w, "LLLLLDDDDL") && panValid(w), inPAN, 55, aboutPAN|aboutTax) {
			return true
		}
	case 16:
		if try(codiceFiscale(w), itCF, 85, aboutCF) {
			return true
		}
	case 17:
		if ok, checked := vinValid(w); ok && (try(checked, vin, 30, aboutVIN) || try(allDigits(w[13:]), vin, 20, aboutVIN)) {
			return true
		}
	}
	if len(w) > 18 {
		return false
	}
	digits := 0
	for _, c := range w {
		if isDigit(c) {
			digits++
		}
	}
	if len(w) >= 7 && len(w) <= 10 && digits >= 4 && len(w)-digits <= 6 && try(true, passport, 20, aboutPassport) {
		return true
	}
	return len(w) >= 6 && digits >= 4 && try(true, driverLicense, 20, aboutLicense)
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// ninoSpaced looks at "AB 12 34 56 C" at i.
func (s *scan) ninoSpaced(i, j int) {
	const spaced = "LL DD DD DD L"
	end := i + len(spaced)
	if end > len(s.text) || s.text[j] != ' ' || !isDigit(s.text[j+1]) || isAlnum(s.at(end)) || isAlnum(s.at(i-1)) {
		return
	}
	var w [9]byte
	n := 0
	for k, c := range s.text[i:end] {
		switch spaced[k] {
		case ' ':
			if c != ' ' {
				return
			}
			continue
		case 'D':
			if !isDigit(c) {
				return
			}
		default:
			if class[c] != upper {
				return
			}
		}
		w[n] = c
		n++
	}
	if nino(w[:]) {
		s.add(gbNINO, i, end, 75, aboutNINO)
	}
}

// nino knows the letters that are never given out.
func nino(w []byte) bool {
	a, b, last := w[0]&^0x20, w[1]&^0x20, w[8]&^0x20
	if last < 'A' || last > 'D' {
		return false
	}
	for _, c := range []byte("DFIQUV") {
		if a == c || b == c {
			return false
		}
	}
	if b == 'O' {
		return false
	}
	switch string([]byte{a, b}) {
	case "BG", "GB", "NK", "KN", "TN", "NT", "ZZ":
		return false
	}
	return true
}

const nifLetters = "TRWAGMYFPDXBNJZSQVHLCKE"

func nif(w []byte) bool { return nifLetters[number(w[:8])%23] == w[8] }

func nie(w []byte) bool {
	if w[0] < 'X' || w[0] > 'Z' {
		return false
	}
	return nifLetters[(int(w[0]-'X')*10000000+number(w[1:8]))%23] == w[8]
}

func nric(w []byte) bool {
	sum := weighted(w[1:8], 2, 7, 6, 5, 4, 3, 2)
	switch w[0] {
	case 'S':
		return "JZIHGFEDCBA"[sum%11] == w[8]
	case 'T':
		return "JZIHGFEDCBA"[(sum+4)%11] == w[8]
	case 'F':
		return "XWUTRQPNMLK"[sum%11] == w[8]
	case 'G':
		return "XWUTRQPNMLK"[(sum+4)%11] == w[8]
	case 'M':
		return "KLJNPQRTUWX"[10-(sum+3)%11] == w[8] || "XWUTRQPNJLK"[(sum+3)%11] == w[8]
	}
	return false
}

// panValid knows the fourth letter, which says whose the number is.
func panValid(w []byte) bool {
	switch w[3] &^ 0x20 {
	case 'P', 'C', 'H', 'F', 'A', 'T', 'B', 'L', 'J', 'G':
		return true
	}
	return false
}

// mbiValid is the form of a Medicare beneficiary's number, without dashes: 1 to
// 9, a letter, either, a digit, a letter, either, a digit, two letters, two
// digits.
func mbiValid(w []byte) bool {
	for i, p := range []byte("DLEDLEDLLDD") {
		c := w[i]
		if p == 'D' && !isDigit(c) || p == 'L' && !isLetter(c) || !isAlnum(c) {
			return false
		}
		if isLetter(c) {
			switch c &^ 0x20 {
			case 'S', 'L', 'O', 'I', 'B', 'Z': // too like digits
				return false
			}
		}
	}
	return w[0] != '0'
}

// codiceFiscale is Italy's, whose digits may be letters where two people would
// have the same.
func codiceFiscale(w []byte) bool {
	const form = "LLLLLLDDLDDLDDDL"
	sum := 0
	for i, c := range w {
		if isLetter(c) {
			c &^= 0x20
		}
		if form[i] == 'L' && !isLetter(c) {
			return false
		}
		if form[i] == 'D' && !isDigit(c) {
			if c < 'L' || c > 'V' || c == 'O' {
				return false
			}
		}
		if i == 15 {
			return int(c-'A') == sum%26
		}
		v := int(c - '0')
		if isLetter(c) {
			v = int(c - 'A')
		}
		if i%2 == 0 {
			v = [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}[v]
		}
		sum += v
	}
	return false
}

// vinValid is the form of ISO 3779; checked says that it has North America's
// check digit, which other parts of the world do not use.
func vinValid(w []byte) (ok, checked bool) {
	weights := [17]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}
	sum, digits := 0, 0
	for i, c := range w {
		v := int(c - '0')
		if isLetter(c) {
			c &^= 0x20
			if c == 'I' || c == 'O' || c == 'Q' {
				return false, false
			}
			v = int("12345678012345070923456789"[c-'A'] - '0')
		} else {
			digits++
		}
		sum += v * weights[i]
	}
	check := w[8]
	if check == 'x' {
		check = 'X'
	}
	return digits >= 4, digits >= 4 && "0123456789X"[sum%11] == check
}

// hetu looks at Finland's number at i: six digits, a sign for the century, three
// digits and a check character.
func (s *scan) hetu(i int) int {
	if i+11 > len(s.text) || !s.d.on[fiHETU] || isAlnum(s.at(i+11)) {
		return 0
	}
	w := s.text[i : i+11]
	switch w[6] {
	case '-', '+', 'A', 'B', 'C', 'D', 'E', 'F', 'U', 'V', 'W', 'X', 'Y':
	default:
		return 0
	}
	if !allDigits(w[:6]) || !allDigits(w[7:10]) || !shortDay(w) || s.at(i-1) == '-' && isAlnum(s.at(i-2)) {
		return 0
	}
	if "0123456789ABCDEFHJKLMNPRSTUVWXY"[(number(w[:6])*1000+number(w[7:10]))%31] != w[10] {
		return 0
	}
	if isDigit(w[10]) && s.against(i, i+11, aboutDK|aboutSE) || !s.add(fiHETU, i, i+11, 70, aboutFI) {
		return 0
	}
	return i + 11
}

// bic looks at the code of a bank: four letters, a country, two more, and three
// of a branch.
func (s *scan) bic(i, j int) bool {
	w := s.text[i:j]
	if !s.d.on[bic] || !isLetter(w[0]) || !isLetter(w[1]) || !isLetter(w[2]) || !isLetter(w[3]) ||
		!countries[string([]byte{w[4] | 0x20, w[5] | 0x20})] {
		return false
	}
	return s.add(bic, i, j, 20, aboutBIC)
}

// hexGroups looks at a short word of letters and digits with a colon or a dash
// behind it.
func (s *scan) hexGroups(i, j int) int {
	if s.at(j) == ':' {
		return s.colons(i, j)
	}
	switch {
	case j-i == 2 && s.d.on[macAddress] && s.mac(i, '-'):
		return i + 17
	case j-i == 4 && s.d.on[usMBI]: // 1EG4-TE5-MK73
		if end := i + 13; end <= len(s.text) && s.text[i+8] == '-' && !isAlnum(s.at(end)) {
			var w [11]byte
			copy(w[:], s.text[i:j])
			copy(w[4:], s.text[i+5:i+8])
			copy(w[7:], s.text[i+9:end])
			if mbiValid(w[:]) && s.add(usMBI, i, end, 70, aboutMBI) {
				return end
			}
		}
	}
	return s.license(i, j)
}

// license looks at a driver's licence in groups with dashes, such as
// "D123-456-78-901-0", whose first group is text[i:j]. Only its context tells it.
func (s *scan) license(i, j int) int {
	if !s.d.on[driverLicense] || s.near(i, j).words&aboutLicense == 0 {
		return j
	}
	end, digits := i, 0
	for end < len(s.text) && end-i < 24 && (class[s.text[end]]&(upper|digit) != 0 || s.text[end] == '-' && isAlnum(s.at(end+1))) {
		if isDigit(s.text[end]) {
			digits++
		}
		end++
	}
	if digits < 6 || isAlnum(s.at(end)) || !s.add(driverLicense, i, end, 20, aboutLicense) {
		return j
	}
	return end
}

// hyphened looks at a number with a word behind a dash: a HETU, a MAC address or
// a NIF. It returns where that ends, or 0.
func (s *scan) hyphened(i, j int) int {
	if c := s.at(j); c != '-' && c != '+' {
		return 0
	}
	switch j - i {
	case 2:
		if s.d.on[macAddress] && s.mac(i, '-') {
			return i + 17
		}
	case 6:
		return s.hetu(i)
	case 8: // 12345678-Z
		var w [9]byte
		copy(w[:], s.text[i:j])
		w[8] = s.at(j + 1)
		if class[w[8]] == upper && !isAlnum(s.at(j+2)) && s.at(j+2) != '-' && nif(w[:]) && s.add(esNIF, i, j+2, 60, aboutNIF|general) {
			return j + 2
		}
	}
	return 0
}
