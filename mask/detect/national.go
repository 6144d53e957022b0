package detect

// ssn looks at three, two and four digits.
func (s *scan) ssn(d []byte, start, end int, sep byte) bool {
	base := 70
	if sep != '-' {
		base = 40
	}
	if ssnValid(d) {
		return s.add(usSSN, start, end, base, aboutSSN)
	}
	return itinValid(d) && s.add(usITIN, start, end, base-15, aboutITIN|aboutTax)
}

// ssnValid leaves out what was never given to anybody, and what was printed as
// an example.
func ssnValid(d []byte) bool {
	area, group, serial := number(d[:3]), number(d[3:5]), number(d[5:])
	switch {
	case area == 0, area == 666, area >= 900, group == 0, serial == 0, same(d):
		return false
	}
	switch string(d) {
	case "123456789", "078051120", "219099999", "457555462":
		return false
	}
	return true
}

func itinValid(d []byte) bool {
	group := number(d[3:5])
	return d[0] == '9' && (50 <= group && group <= 65 || 70 <= group && group <= 88 || 90 <= group && group <= 92 || 94 <= group && group <= 99)
}

// ein knows the first two digits that the IRS gives out.
func ein(d []byte) bool {
	switch n := number(d[:2]); {
	case n == 0, 7 <= n && n <= 9, 17 <= n && n <= 19, 28 <= n && n <= 29, n == 49, 69 <= n && n <= 70, 78 <= n && n <= 79, n == 89, 96 <= n && n <= 97:
		return false
	}
	return !same(d)
}

func abaValid(d []byte) bool { return weighted(d, 3, 7, 1, 3, 7, 1, 3, 7, 1)%10 == 0 && !same(d) }

// luhnNPI counts the prefix 80840, which is not written: it adds 24.
func luhnNPI(d []byte) bool { return (d[0] == '1' || d[0] == '2') && (luhnSum(d)+24)%10 == 0 }

func nhs(d []byte) bool {
	check := 11 - weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return check%11 == int(d[9]-'0') && check != 10 && !same(d)
}

// deTax looks at the check digit, and at how often digits stand among the other
// ten: one two or three times, the others once or never.
func deTax(d []byte) bool {
	var count [10]int
	for _, c := range d[:10] {
		count[c-'0']++
	}
	twice := 0
	for _, n := range count {
		if n > 3 {
			return false
		}
		if n > 1 {
			twice++
		}
	}
	return d[0] != '0' && twice == 1 && iso7064(d)
}

// nir is France's number of 13 digits with its key.
func nir(d []byte) bool {
	month := number(d[3:5])
	if d[0] != '1' && d[0] != '2' || !(1 <= month && month <= 12 || 20 <= month && month <= 42 || month >= 50) {
		return false
	}
	return 97-mod97(0, d[:13]) == number(d[13:])
}

func pesel(d []byte) bool {
	month := number(d[2:4])
	year := 1900 + number(d[:2])
	switch month / 20 {
	case 1:
		year += 100
	case 2:
		year += 200
	case 4:
		year -= 100
	case 3:
		year += 300
	}
	return day(year, month%20, number(d[4:6])) && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)%10 == 0
}

func bsn(d []byte) bool { return weighted(d, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0 && !same(d) }

// shortDay reports whether d, ddmmyy, may be a day of some century.
func shortDay(d []byte) bool { return day(4, number(d[2:4]), number(d[:2])) }

// seNumber is Sweden's number of ten digits; 60 is added to the day of people
// without a residence.
func seNumber(d []byte) bool {
	dd := number(d[4:6])
	if dd > 60 {
		dd -= 60
	}
	return day(4, number(d[2:4]), dd) && luhn(d) && !same(d)
}

// dkNumber is Denmark's, whose check digit is given up since 2007.
func dkNumber(d []byte) bool { return shortDay(d) }

// northern looks at six and four digits.
func (s *scan) northern(d []byte, start, end int) bool {
	found := false
	if seNumber(d) {
		found = s.add(sePersonnummer, start, end, 40, aboutSE|aboutNational)
	}
	if !found && dkNumber(d) {
		found = s.add(dkCPR, start, end, 30, aboutDK|aboutNational)
	}
	return found
}

// fnr is Norway's number, with two check digits; 40 is added to the day or the
// month of temporary numbers.
func fnr(d []byte) bool {
	dd, month := number(d[:2]), number(d[2:4])
	if dd > 40 {
		dd -= 40
	}
	if month > 40 {
		month -= 40
	}
	return day(4, month, dd) && weighted(d, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1)%11 == 0 && weighted(d, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)%11 == 0
}

// elevens returns Brazil's check digit over d with the weights.
func elevens(d []byte, weights ...int) byte {
	if r := weighted(d, weights...) % 11; r >= 2 {
		return byte('0' + 11 - r)
	}
	return '0'
}

func cpf(d []byte) bool {
	return !same(d) && d[9] == elevens(d, 10, 9, 8, 7, 6, 5, 4, 3, 2) && d[10] == elevens(d, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
}

func cnpj(d []byte) bool {
	return !same(d) && d[12] == elevens(d, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2) && d[13] == elevens(d, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
}

func tfn(d []byte) bool { return weighted(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 && !same(d) }

func abn(d []byte) bool {
	return d[0] != '0' && (weighted(d, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 == 0
}

func medicareAU(d []byte) bool {
	return '2' <= d[0] && d[0] <= '6' && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9)%10 == int(d[8]-'0')
}

// krNumber is South Korea's; since October 2020 the last digits are random.
func krNumber(d []byte) bool {
	g := d[6]
	return g >= '1' && g <= '8' && day(4, number(d[2:4]), number(d[4:6]))
}

func (s *scan) rrn(d []byte, start, end int) bool {
	if !krNumber(d) {
		return false
	}
	base := 40
	if check := (11 - weighted(d, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11) % 10; check == int(d[12]-'0') {
		base = 60
	}
	return s.add(krRRN, start, end, base, aboutRRN|aboutNational)
}

func thai(d []byte) bool {
	return d[0] != '0' && (11-weighted(d, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11)%10 == int(d[12]-'0')
}

func turkish(d []byte) bool {
	odd := weighted(d, 1, 0, 1, 0, 1, 0, 1, 0, 1)
	even := weighted(d, 0, 1, 0, 1, 0, 1, 0, 1)
	tenth := ((odd*7-even)%10 + 10) % 10
	sum := weighted(d, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	return d[0] != '0' && int(d[9]-'0') == tenth && int(d[10]-'0') == sum%10
}

func zaNumber(d []byte) bool {
	return day(4, number(d[2:4]), number(d[4:6])) && d[10] <= '2' && luhn(d)
}

// cnNumber is China's of 18, whose last may be an X.
func cnNumber(d []byte) bool {
	last := d[17]
	if last == 'x' {
		last = 'X'
	}
	year := number(d[6:10])
	return d[0] != '0' && 1900 <= year && year <= 2100 && day(year, number(d[10:12]), number(d[12:14])) &&
		"10X98765432"[weighted(d, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)%11] == last
}

// passportDigits is the common form without letters.
func passportDigits(d []byte) bool { return !same(d) }
