package detect

// card looks for a payment card's number among d.
func (s *scan) card(d []byte, start, end, base int) bool {
	if !s.d.on[card] || !issued(d) || !luhn(d) || same(d) {
		return false
	}
	if len(d) == 13 && base < 90 && s.near(start, end).words&aboutCard == 0 && d[0] != '4' {
		base = 20
	}
	return s.add(card, start, end, base, aboutCard)
}

// issued reports whether there is an issuer of cards whose numbers begin so
// and have that length.
func issued(d []byte) bool {
	n := len(d)
	two, four, six := number(d[:2]), number(d[:4]), number(d[:6])
	switch {
	case d[0] == '4': // Visa
		return n == 13 || n == 16 || n == 19
	case 51 <= two && two <= 55, 2221 <= four && four <= 2720: // Mastercard
		return n == 16
	case two == 34, two == 37: // American Express
		return n == 15
	case two == 36, two == 38, two == 39, 300 <= four/10 && four/10 <= 305, four == 3095: // Diners
		return n >= 14 && n <= 19
	case 3528 <= four && four <= 3589: // JCB
		return n >= 16 && n <= 19
	case four == 6011, 644 <= four/10 && four/10 <= 649, two == 65: // Discover, RuPay, Elo
		return n >= 16 && n <= 19
	case two == 62, two == 81: // UnionPay
		return n >= 16 && n <= 19
	case 2200 <= four && four <= 2204: // Mir
		return n >= 16 && n <= 19
	case two == 60, two == 63, two == 67, two == 50, 56 <= two && two <= 58: // Maestro, RuPay, Elo and Verve
		return n >= 12 && n <= 19
	case six == 979200: // Troy
		return n == 16
	}
	return false
}
