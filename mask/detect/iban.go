package detect

// ibanLength is how long an IBAN of a country is (SWIFT's registry, release 99
// and the countries that use the form without being in it).
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21,
	"CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18,
	"FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23,
	"IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
	"MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28,
	"PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
	"SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
	"AO": 25, "BF": 28, "BJ": 28, "CF": 27, "CG": 27, "CI": 28, "CM": 27, "CV": 25, "DZ": 26, "GA": 27, "GQ": 27, "GW": 25, "IR": 26,
	"KM": 27, "MA": 28, "MG": 27, "ML": 28, "MZ": 25, "NE": 28, "SN": 28, "TD": 27, "TG": 28,
}

// iban looks for an IBAN at i, where two letters and two digits stand, in one
// piece or in groups of four. It returns where it ends, or 0.
func (s *scan) iban(i int) int {
	if !s.d.on[iban] {
		return 0
	}
	var b [34]byte
	n, at, sep := 0, i, byte(0)
	length := ibanLength[string([]byte{s.text[i] &^ 0x20, s.text[i+1] &^ 0x20})]
	if length == 0 {
		return 0
	}
	for n < length && at < len(s.text) {
		c := s.text[at]
		switch {
		case isAlnum(c):
			if isLetter(c) {
				c &^= 0x20
			}
			b[n] = c
			n++
		case (c == ' ' || c == '-' || c == '.') && n > 0 && n%4 == 0 && (sep == 0 && n == 4 || sep == c) && s.text[at-1] != c:
			sep = c
		case class[c] == high:
			c, width := s.joint(at)
			if width == 0 || n == 0 || n%4 != 0 || sep != c && (sep != 0 || n != 4) || !isAlnum(s.text[at-1]) {
				return 0
			}
			sep = c
			at += width - 1
		default:
			return 0
		}
		at++
	}
	if n < length || isAlnum(s.at(at)) || (s.at(i-1) == '-' || s.at(i-1) == '_') && isAlnum(s.at(i-2)) {
		return 0
	}
	if mod97(mod97(0, b[4:n]), b[:4]) != 1 || !s.add(iban, i, at, 95, 0) {
		return 0
	}
	return at
}
