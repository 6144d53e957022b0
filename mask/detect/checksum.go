package detect

// The check digits here take the digits as text, of the length that the caller
// has looked at.

// luhn is ISO/IEC 7812-1, the last digit included.
func luhn(d []byte) bool { return luhnSum(d)%10 == 0 }

func luhnSum(d []byte) int {
	sum := 0
	for i, c := range d {
		v := int(c - '0')
		if (len(d)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum
}

// weighted returns the sum of the digits times the weights.
func weighted(d []byte, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += int(d[i]-'0') * w
	}
	return sum
}

// mod97 is the remainder of text in ISO 7064's reading: letters, upper case,
// are 10 to 35. More of the text continues from.
func mod97(from int, text []byte) int {
	for _, c := range text {
		if isDigit(c) {
			from = (from*10 + int(c-'0')) % 97
		} else {
			from = (from*100 + int(c-'A') + 10) % 97
		}
	}
	return from
}

// iso7064 is MOD 11,10, the last digit included.
func iso7064(d []byte) bool {
	p := 10
	for _, c := range d[:len(d)-1] {
		if p = (p + int(c-'0')) % 10; p == 0 {
			p = 10
		}
		p = p * 2 % 11
	}
	return (p+int(d[len(d)-1]-'0'))%10 == 1
}

var verhoeffD = [10]string{"0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
	"5987604321", "6598710432", "7659821043", "8765932104", "9876543210"}
var verhoeffP = [8]string{"0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258"}

// verhoeff includes the last digit.
func verhoeff(d []byte) bool {
	c := byte(0)
	for i := range d {
		c = verhoeffD[c][verhoeffP[i%8][d[len(d)-1-i]-'0']-'0'] - '0'
	}
	return c == 0
}

// same reports whether all digits are one.
func same(d []byte) bool {
	for _, c := range d {
		if c != d[0] {
			return false
		}
	}
	return true
}

func number(d []byte) int {
	n := 0
	for _, c := range d {
		n = n*10 + int(c-'0')
	}
	return n
}

// day reports whether there is such a day; year 0 means that it is not known.
func day(year, month, d int) bool {
	if month < 1 || month > 12 || d < 1 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return d <= days
}
