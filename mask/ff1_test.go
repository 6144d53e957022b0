package mask_test

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sallyport-dev/gateway/mask"
)

// The samples that NIST gives out for FF1.
func TestFF1Samples(t *testing.T) {
	const (
		key128 = "2b7e151628aed2a6abf7158809cf4f3c"
		key192 = key128 + "ef4359d8d580aa4f"
		key256 = key192 + "7f036d6f04fc6a94"
		short  = "0123456789"
		long   = "0123456789abcdefghi"
		tweak1 = "39383736353433323130"
		tweak2 = "3737373770717273373737"
	)
	for i, s := range []struct {
		key, tweak string
		radix      int
		in, out    string
	}{
		{key128, "", 10, short, "2433477484"},
		{key128, tweak1, 10, short, "6124200773"},
		{key128, tweak2, 36, long, "a9tv40mll9kdu509eum"},
		{key192, "", 10, short, "2830668132"},
		{key192, tweak1, 10, short, "2496655549"},
		{key192, tweak2, 36, long, "xbj3kv35jrawxv32ysr"},
		{key256, "", 10, short, "6657667009"},
		{key256, tweak1, 10, short, "1001623463"},
		{key256, tweak2, 36, long, "xs8a0azh2avyalyzuwd"},
	} {
		key, err := hex.DecodeString(s.key)
		require.NoError(t, err)
		tweak, err := hex.DecodeString(s.tweak)
		require.NoError(t, err)
		x := numerals(s.in)
		require.NoError(t, mask.FF1Raw(key, s.radix, tweak, x, false))
		require.Equal(t, numerals(s.out), x, "sample %d", i+1)
		require.NoError(t, mask.FF1Raw(key, s.radix, tweak, x, true))
		require.Equal(t, numerals(s.in), x, "sample %d, decrypted", i+1)
	}
}

func numerals(s string) (x []uint16) {
	for i := range len(s) {
		x = append(x, uint16(strings.IndexByte(mask.Base36, s[i])))
	}
	return x
}

func TestFF1(t *testing.T) {
	hex6 := strings.Repeat("f", 6)
	for _, c := range []struct {
		alphabet string
		typ      mask.Type
		in, want string // a pattern
	}{
		{mask.Decimal, text(mask.Text), "4111 1111-1111 1111", `^\d{4} \d{4}-\d{4} \d{4}$`},
		{mask.Decimal, text(mask.Text), "000000", `^\d{6}$`},
		{mask.Decimal, text(mask.Padded), "123456    ", `^\d{6}$`},
		{mask.Decimal, text(mask.Text), "12345", `^\*\*\*$`}, // could be tried
		{mask.Decimal, text(mask.Text), "", `^\*\*\*$`},
		{mask.Decimal, text(mask.Text), "Ada 123456", `^\*\*\*$`},
		{mask.Decimal, text(mask.Text), "１２３４５６", `^\*\*\*$`},
		{mask.Decimal, text(mask.Text), strings.Repeat("1", 256), `^\d{256}$`},
		{mask.Decimal, text(mask.Text), strings.Repeat("1", 257), `^\*\*\*$`},
		{mask.Hexadecimal, text(mask.Text), hex6, `^[0-9a-f]{6}$`},
		{mask.Hexadecimal, text(mask.Text), hex6[1:], `^[0-9a-f]{5}$`},
		{mask.Hexadecimal, text(mask.Text), hex6[2:], `^\*\*\*$`},
		{mask.Hexadecimal, text(mask.Text), "FFFFFF", `^\*\*\*$`},
		{mask.Alphanumeric, text(mask.Text), "Ada-Lovelace", `^[0-9A-Za-z]{3}-[0-9A-Za-z]{8}$`},
		{mask.Base36 + "@.-", text(mask.Text), "ada@example.com", `^[0-9a-z@.-]{15}$`},
		{"ab", text(mask.Text), strings.Repeat("ab", 10), `^[ab]{20}$`},
		{"ab", text(mask.Text), strings.Repeat("a", 19), `^\*\*\*$`},
		{mask.Decimal, text(mask.Int8), "1234567", `^[1-9]\d{6}$`},
		{mask.Decimal, text(mask.Int8), "-1234567", `^-[1-9]\d{6}$`},
		{mask.Decimal, text(mask.Int8), "123456", `^0$`}, // less than a million
		{mask.Decimal, text(mask.Int8), "9223372036854775807", `^[1-9]\d{18}$`},
		{mask.Decimal, text(mask.Int8), "-9223372036854775808", `^0$`},
		{mask.Decimal, text(mask.Int8), "01234567", `^0$`},
		{mask.Decimal, text(mask.Int4), "2147483647", `^[12]\d{9}$`},
		{mask.Decimal, text(mask.OID), "4294967295", `^[1-4]\d{9}$`},
		{mask.Decimal, text(mask.Int2), "32767", `^0$`},
		{mask.Decimal, text(mask.Numeric), "1234567", `^[1-9]\d{6}$`},
		{mask.Decimal, text(mask.Numeric), "1234567.00", `^0$`},
		{mask.Decimal, text(mask.Numeric), "NaN", `^0$`},
		{mask.Decimal, text(mask.Float8), "1234567", `^0$`},
		{mask.Decimal, text(mask.UUID), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `^0{8}-`},
		{mask.Base36, text(mask.Int8), "1234567", `^0$`}, // letters are no numbers
	} {
		got := apply(mask.FF1(testKey(t), "d", c.alphabet), c.typ, c.in)
		require.Regexp(t, c.want, got, "%q in %q as %+v", c.in, c.alphabet, c.typ)
		require.NotEqual(t, c.in, got)
		require.True(t, valid(c.typ, []byte(got), nil), got)
	}
	card := mask.FF1(testKey(t), "card", mask.Decimal)
	one := apply(card, text(mask.Text), "4111 1111 1111 1111")
	require.Equal(t, strings.ReplaceAll(one, " ", ""), apply(card, text(mask.Text), "4111111111111111"), "however it is grouped")
	require.NotEqual(t, one, apply(mask.FF1(testKey(t), "", mask.Decimal), text(mask.Text), "4111 1111 1111 1111"), "of another domain")
	require.Equal(t, "ff1(10 characters, domain card)", mask.Describe(card))
}

// What another implementation of FF1 makes of it; who stored a token has to find it.
func TestFF1StaysTheSame(t *testing.T) {
	card := mask.FF1(testKey(t), "card", mask.Decimal)
	require.Equal(t, "1516 1058 5027 1767", apply(card, text(mask.Text), "4111 1111 1111 1111"))
	require.Equal(t, "1516105850271767", apply(card, text(mask.Int8), "4111111111111111"))
}

func TestFF1Settings(t *testing.T) {
	for alphabet, want := range map[string]string{"": "fewer than two", "0": "fewer than two", "00": `'0' twice`, "01 ": "not one of printed ASCII", "aé": "not one of printed ASCII"} {
		_, err := mask.FF1(testKey(t), "", alphabet).Bind(text(mask.Text))
		require.ErrorContains(t, err, want, alphabet)
	}
	_, err := mask.FF1(mask.Key{}, "", mask.Decimal).Bind(text(mask.Text))
	require.ErrorContains(t, err, "ff1: no key")
	for _, c := range []struct {
		typ   mask.Type
		token string
	}{
		{text(mask.Text), ""}, {text(mask.Text), "***"}, {text(mask.Text), "12345"}, {text(mask.Text), "Ada 1234567"}, {text(mask.Int8), "0"}, {text(mask.Int8), "x"},
		{text(mask.Int4), "4111111111"}, {mask.Type{}, "x"}, {text(mask.Bool), "f"},
	} {
		_, err := mask.OpenFF1(testKey(t), "", mask.Decimal, c.typ, []byte(c.token))
		require.ErrorContains(t, err, "no token", c.token)
	}
}

// TestFF1KeepsWhatThereIs: whatever the text, its token has its length, its alphabet
// and what stands between; it is opened with the same key, and with no other.
func TestFF1KeepsWhatThereIs(t *testing.T) {
	key := testKey(t)
	other, err := mask.NewKey([]byte("another key of at least 16 bytes"))
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		all := []byte(mask.Alphanumeric + "!#$%&*:;<=>?@_")
		alphabet := string(rapid.Permutation(all).Draw(t, "alphabet")[:rapid.IntRange(2, len(all)).Draw(t, "radix")])
		domain := rapid.StringN(0, 40, 80).Draw(t, "domain")
		in := rapid.StringOfN(rapid.SampledFrom([]rune(alphabet+alphabet+alphabet+" -./")), 20, 80, -1).Draw(t, "text")
		in = strings.TrimRight(in, " ")
		f, err := mask.FF1(key, domain, alphabet).Bind(text(mask.Text))
		require.NoError(t, err)
		out := string(f(nil, []byte(in)))
		if out == "***" {
			t.Skip("too short")
		}
		require.Len(t, out, len(in))
		for i := range len(in) {
			require.Equal(t, strings.IndexByte(alphabet, in[i]) >= 0, strings.IndexByte(alphabet, out[i]) >= 0)
			if strings.IndexByte(alphabet, in[i]) < 0 {
				require.Equal(t, in[i], out[i])
			}
		}
		back, err := mask.OpenFF1(key, domain, alphabet, text(mask.Text), []byte(out))
		require.NoError(t, err)
		require.Equal(t, in, string(back))
		back, err = mask.OpenFF1(other, domain, alphabet, text(mask.Text), []byte(out))
		require.NoError(t, err) // each token is somebody's
		require.Len(t, back, len(in))
	})
}

// TestFF1OfNumbers: of numbers of a type, in text and in binary, too.
func TestFF1OfNumbers(t *testing.T) {
	types := []struct {
		oid  uint32
		bits int
	}{{23, 32}, {20, 64}, {26, 33}, {1700, 54}}
	key := testKey(t)
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(types).Draw(t, "type")
		digits := rapid.IntRange(7, len(strconv.FormatInt(1<<(typ.bits-1)-1, 10))).Draw(t, "digits")
		low, _ := strconv.ParseInt("1"+strings.Repeat("0", digits-1), 10, 64)
		high := int64(1<<(typ.bits-1) - 1)
		if digits < 19 {
			high = min(high, 10*low-1)
		}
		v := rapid.Int64Range(low, high).Draw(t, "v")
		if typ.oid != 26 && rapid.Bool().Draw(t, "negative") {
			v = -v
		}
		asText, asBinary := mask.Postgres(typ.oid, "", false), mask.Postgres(typ.oid, "", true)
		out := apply(mask.FF1(key, "n", mask.Decimal), asText, fmt.Sprint(v))
		require.Len(t, out, len(fmt.Sprint(v)))
		w, err := strconv.ParseInt(out, 10, 64)
		require.NoError(t, err)
		require.Equal(t, v < 0, w < 0)
		back, err := mask.OpenFF1(key, "n", mask.Decimal, asText, []byte(out))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(v), string(back))
		in := asBinary.Whole(v)
		sealed := apply(mask.FF1(key, "n", mask.Decimal), asBinary, string(in))
		require.Equal(t, string(asBinary.Whole(w)), sealed, "the same in both formats")
		back, err = mask.OpenFF1(key, "n", mask.Decimal, asBinary, []byte(sealed))
		require.NoError(t, err)
		require.Equal(t, string(in), string(back))
	})
}
