package detect_test

import (
	"bufio"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// The corpus: values of every kind, most of them made and checked by programs
// other than this package (testdata/values.tsv), in sentences, records and logs
// written for it, and texts that look like values and are none.

// values returns testdata/values.tsv by kind.
func values(t testing.TB) map[string][]string {
	f, err := os.Open("testdata/values.tsv")
	require.NoError(t, err)
	defer f.Close()
	m := map[string][]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), "\t"); ok {
			m[k] = append(m[k], v)
		}
	}
	return m
}

const (
	digits  = "0123456789"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	letters = uppers + lowers
	alnums  = letters + digits
	urls    = alnums + "-_"
	hexes   = "0123456789abcdef"
)

// A maker makes random texts, the same ones every time.
type maker struct{ *rand.Rand }

func (m maker) of(alphabet string, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[m.IntN(len(alphabet))])
	}
	return b.String()
}

func pick[T any](m maker, of ...T) T { return of[m.IntN(len(of))] }

// secrets make values that are in no registry.
var secrets = map[string]func(m maker) string{
	"secret.aws":    func(m maker) string { return pick(m, "AKIA", "ASIA") + m.of(uppers+"234567", 16) },
	"secret.github": func(m maker) string { return pick(m, "ghp_", "gho_", "ghs_", "ghu_", "ghr_") + m.of(alnums, 36) },
	"secret.gitlab": func(m maker) string { return "glpat-" + m.of(alnums, 19) + m.of(alnums, 1) },
	"secret.slack": func(m maker) string {
		return pick(m, "xoxb-", "xoxp-") + m.of(digits, 12) + "-" + m.of(digits, 12) + "-" + m.of(alnums, 24)
	},
	"secret.stripe":    func(m maker) string { return pick(m, "sk_live_", "rk_live_", "sk_test_") + m.of(alnums, 24) },
	"secret.google":    func(m maker) string { return "AIza" + m.of(urls, 34) + m.of(alnums, 1) },
	"secret.openai":    func(m maker) string { return "sk-" + m.of(alnums, 20) + "T3BlbkFJ" + m.of(alnums, 20) },
	"secret.anthropic": func(m maker) string { return "sk-ant-api03-" + m.of(urls, 93) + "AA" },
	"secret.npm":       func(m maker) string { return "npm_" + m.of(alnums, 36) },
	"secret.pypi":      func(m maker) string { return "pypi-AgEIcHlwaS5vcmc" + m.of(urls, 70) + m.of(alnums, 1) },
	"secret.twilio":    func(m maker) string { return "SK" + m.of(hexes, 32) },
	"secret.sendgrid":  func(m maker) string { return "SG." + m.of(urls, 22) + "." + m.of(urls, 42) + m.of(alnums, 1) },
	"secret.token": func(m maker) string {
		return pick(m, "dop_v1_"+m.of(hexes, 64), "hf_"+m.of(letters, 34), "shpat_"+m.of(hexes, 32), "lin_api_"+m.of(alnums, 40), "dapi"+m.of(hexes, 32))
	},
	"secret.jwt": func(m maker) string {
		enc := base64.RawURLEncoding
		head := pick(m, `{"alg":"HS256","typ":"JWT"}`, `{"typ":"JWT","alg":"RS256","kid":"`+m.of(hexes, 16)+`"}`, `{"alg":"ES256"}`)
		body := fmt.Sprintf(`{"sub":"%s","iat":%d,"name":"%s"}`, m.of(digits, 8), 1600000000+m.IntN(1e8), m.of(lowers, 12))
		return enc.EncodeToString([]byte(head)) + "." + enc.EncodeToString([]byte(body)) + "." + m.of(urls, 42) + m.of(alnums, 1)
	},
	"secret.private_key": func(m maker) string {
		kind := pick(m, "RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
		nl := pick(m, "\n", `\n`)
		return "-----BEGIN " + kind + "-----" + nl + m.of(alnums+"+/", 64) + nl + m.of(alnums+"+/", 40) + "==" + nl + "-----END " + kind + "-----"
	},
	"secret.url": func(m maker) string { return m.of(alnums, 8+m.IntN(8)) },
	"secret.password": func(m maker) string {
		return m.of(lowers, 4) + m.of(digits, 2) + pick(m, "!", "#", "_", "") + m.of(letters, 4)
	},
	"secret.authorization": func(m maker) string { return m.of(urls, 39) + "4k" },
	"crypto.btc": func(m maker) string {
		return pick(m, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
			"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0")
	},
	"crypto.eth": func(m maker) string {
		return pick(m, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
			"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb")
	},
	"vin": func(m maker) string {
		return pick(m, "1HGCM82633A004352", "1M8GDM9AXKP042788", "5GZCZ43D13S812715", "1FTFW1ET5DFC10312", "JH4KA7561PC008269", "11111111111111111"[:0]+"4T1BE32K25U056382")
	},
	"id.us.npi": func(m maker) string { return pick(m, "1234567893", "1245319599", "1003000126", "1679576722") },
	"id.us.mbi": func(m maker) string { return pick(m, "1EG4-TE5-MK73", "1EG4TE5MK73", "2A34CD5EF67", "9NQ7XR1AA09") },
	"id.gb.nino": func(m maker) string {
		return pick(m, "AB123456C", "JG103759A", "AP019283D", "ZX 04 89 52 B", "CE123456D", "PW 98 76 54 A")
	},
	"id.sg.nric": func(m maker) string {
		return pick(m, "S1234567D", "T0123456G", "F1234567N", "G1234567X", "S8765432G"[:0]+"S0000001I")
	},
	"id.passport": func(m maker) string {
		return pick(m, m.of(digits, 9), m.of(uppers, 1)+m.of(digits, 8), "C01X00T47", m.of(uppers, 2)+m.of(digits, 7))
	},
	"id.driver_license": func(m maker) string {
		return pick(m, m.of(uppers, 1)+m.of(digits, 7), m.of(uppers, 1)+m.of(digits, 12), m.of(digits, 8), "MORGA657054SM9IJ")
	},
	"id.au.medicare": func(m maker) string { return pick(m, "2123 45670 1", "2428778132", "3950394261"[:0]+"2123456701") },
	"birth_date": func(m maker) string {
		y, mo, d := 1930+m.IntN(80), 1+m.IntN(12), 1+m.IntN(28)
		return pick(m, fmt.Sprintf("%d-%02d-%02d", y, mo, d), fmt.Sprintf("%02d/%02d/%d", mo, d, y), fmt.Sprintf("%d.%d.%d", d, mo, y),
			fmt.Sprintf("%02d-%02d-%d", d, mo, y), fmt.Sprintf("%d%02d%02d", y, mo, d), fmt.Sprintf("%s %d, %d", pick(m, "March", "Jul", "October"), d, y),
			fmt.Sprintf("%d %s %d", d, pick(m, "January", "May", "Dec"), y))
	},
	"email": func(m maker) string {
		domain := pick(m, "example.com", "mail.example.co.uk", "firma-beispiel.de", "x.org", "sub.domain.company.io", "uni.edu", "bücher.example", "acme.museum")
		return pick(m, m.of(lowers, 6), m.of(lowers, 5)+"."+m.of(lowers, 7), m.of(lowers, 3)+m.of(digits, 3), m.of(lowers, 4)+"_"+m.of(lowers, 3),
			m.of(letters, 7), m.of(lowers, 4)+"+"+m.of(lowers, 4), "o'"+m.of(lowers, 5), m.of(lowers, 1), m.of(digits, 5), "jörg."+m.of(lowers, 4)) + "@" + domain
	},
	"net.ip": func(m maker) string {
		return pick(m, fmt.Sprintf("%d.%d.%d.%d", 1+m.IntN(254), m.IntN(256), m.IntN(256), m.IntN(256)),
			fmt.Sprintf("2001:db8:%x::%x", m.IntN(1<<16), 1+m.IntN(1<<15)), fmt.Sprintf("fe80::%x:%x", 16+m.IntN(1<<15), 4096+m.IntN(1<<14)))
	},
	"net.mac": func(m maker) string {
		var p []string
		for range 6 {
			p = append(p, m.of(hexes, 2))
		}
		return strings.ToUpper(strings.Join(p[:1], "")) + ":" + strings.Join(p[1:], ":")
	},
}

// anywhere are texts in which a value of any kind may stand, %s.
var anywhere = []string{"%s", "see %s", "%s was entered twice", "customer wrote: %s, please check", `{"id":7,"value":"%s","ok":true}`, "2024-03-01 10:22:07 INFO got %s from form",
	"a;%s;b", "note (%s)", "<td>%s</td>", "'%s'", "x=%s", "row 17 | %s | done", "%s\nsecond line", "Re: %s.", "[%s]", "Her number changed to %s last week"}

// about are words in front of a value of that kind.
var about = map[string][]string{
	"phone.national":     {"phone: %s", "Tel. %s", "call me at %s", "mobile %s", `{"phone":"%s","n":1}`, "Telefon: %s", "fax %s", "cell=%s", "contact number %s"},
	"id.us.ssn":          {"SSN: %s", "my social security number is %s", "ssn=%s", `{"ssn":"%s"}`, "Social Security # %s", "employee ssn %s on file"},
	"id.us.itin":         {"ITIN %s", "taxpayer id: %s", `{"itin": "%s"}`},
	"id.us.ein":          {"EIN: %s", "employer id %s", "FEIN %s", "Federal tax id %s"},
	"id.us.npi":          {"NPI: %s", "provider npi %s", `"npi":"%s"`},
	"id.us.mbi":          {"MBI %s", "medicare beneficiary %s"},
	"aba":                {"routing number %s", "ABA: %s", "aba=%s", "Routing no. %s"},
	"bic":                {"BIC: %s", "SWIFT code %s", "swift=%s", `{"bic":"%s"}`},
	"id.gb.nhs":          {"NHS number %s", "NHS No: %s", "nhs=%s"},
	"id.gb.nino":         {"NINO %s", "national insurance number: %s", "NI number %s", "%s"},
	"id.de.tax":          {"Steuer-ID: %s", "Steueridentifikationsnummer %s", "IdNr. %s", "tax id %s", "TIN: %s"},
	"id.fr.nir":          {"NIR %s", "numéro de sécurité sociale : %s", "%s", "INSEE: %s"},
	"id.es.nif":          {"NIF: %s", "DNI %s", "%s", "NIE %s"},
	"id.it.cf":           {"Codice fiscale: %s", "CF %s", "%s"},
	"id.pl.pesel":        {"PESEL: %s", "pesel=%s", "numer PESEL %s"},
	"id.nl.bsn":          {"BSN: %s", "burgerservicenummer %s"},
	"id.se.personnummer": {"personnummer: %s", "Personnr %s", "pnr=%s"},
	"id.fi.hetu":         {"hetu: %s", "henkilötunnus %s", "%s"},
	"id.dk.cpr":          {"CPR: %s", "cpr-nr. %s"},
	"id.no.fnr":          {"fødselsnummer %s", "fnr: %s"},
	"id.br.cpf":          {"CPF: %s", "%s", "cpf %s"},
	"id.br.cnpj":         {"CNPJ: %s", "%s"},
	"id.in.aadhaar":      {"Aadhaar: %s", "aadhaar number %s", "UIDAI %s"},
	"id.in.pan":          {"PAN: %s", "permanent account number %s", "%s"},
	"id.au.tfn":          {"TFN: %s", "tax file number %s"},
	"id.au.abn":          {"ABN: %s", "ABN %s", "%s"},
	"id.au.medicare":     {"Medicare %s", "medicare number: %s"},
	"id.ca.sin":          {"SIN: %s", "social insurance number %s"},
	"id.sg.nric":         {"NRIC: %s", "NRIC %s", "%s"},
	"id.kr.rrn":          {"RRN: %s", "resident registration number %s"},
	"id.th.id":           {"Thai ID: %s", "%s", "thai national id %s"},
	"id.tr.id":           {"TC Kimlik No: %s", "TCKN %s", "kimlik: %s"},
	"id.za.id":           {"South African ID: %s", "identity number %s", "ID number %s"},
	"id.cn.id":           {"身份证号: %s", "resident identity %s", "%s"},
	"id.passport":        {"passport: %s", "Passport No. %s", "Reisepass %s", `{"passport":"%s"}`},
	"id.driver_license":  {"driver's license: %s", "Driver License %s", "driving licence no %s", "DL# %s"},
	"vin":                {"VIN: %s", "vin %s", "vehicle %s was sold"},
	"imei":               {"IMEI: %s", "device imei %s", "handset %s"},
	"birth_date":         {"DOB: %s", "date of birth %s", "born %s", `{"birthDate":"%s"}`, "geboren am %s", "birthday: %s", "dob=%s"},
	"net.ip":             {"client %s connected", "from %s port 22", "%s", `{"ip":"%s"}`, "http://%s/"},
	"net.mac":            {"link/ether %s brd", "%s", "mac=%s"},
	"secret.url":         {"postgres://app:%s@db.internal:5432/orders", "https://user:%s@host.example.com/path", "redis://:%s@cache:6379/0", "amqp://u:%s@mq"},
	"secret.password": {"password=%s", "Password: %s", `{"password":"%s"}`, "DB_PASSWORD=%s", "pwd: '%s'", "secret: %s", "mysql --password %s -u x", `client_secret="%s"`,
		"Server=x;Database=y;User Id=z;Password=%s;", "passwd = \"%s\""},
	"secret.authorization": {"Authorization: Bearer %s", "-H 'Authorization: Bearer %s'", "bearer %s"},
	"secret.private_key":   {"%s", "key:\n%s\n", `{"k":"%s"}`},
}

// A labelled text has the values that are in it.
type labelled struct {
	text  string
	kind  string // "" if there is nothing
	value string
}

var seed = flag.Uint64("corpus.seed", 1, "of the texts in TestCorpus")

// corpus returns texts with one value of the kind each.
func corpus(t testing.TB) []labelled {
	m := maker{rand.New(rand.NewPCG(*seed, 2))}
	var out []labelled
	known := values(t)
	for _, kind := range slices.Sorted(maps.Keys(secrets)) {
		for range 60 {
			known[kind] = append(known[kind], secrets[kind](m))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(known)) {
		templates := about[kind]
		if templates == nil {
			templates = anywhere
		}
		vs := known[kind]
		for i := range max(100, min(len(vs), 600)) {
			v := vs[i%len(vs)]
			text := pick(m, templates...)
			if kind == "id.us.ssn" && i%3 == 0 {
				text = pick(m, anywhere...)
			}
			if about[kind] != nil && i%4 == 0 {
				text = "ticket 4711 of 2024-01-15: " + text
			}
			label, _, _ := strings.Cut(kind, ".national")
			out = append(out, labelled{strings.Replace(text, "%s", v, 1), label, v})
		}
	}
	return out
}

// negatives returns texts without a value of the default kinds.
func negatives() []string {
	m := maker{rand.New(rand.NewPCG(3, 4))}
	hash := func(n int) string {
		b := []byte(m.of(alnums, 9))
		switch n {
		case 16:
			h := md5.Sum(b)
			return hex.EncodeToString(h[:])
		case 20:
			h := sha1.Sum(b)
			return hex.EncodeToString(h[:])
		}
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:])
	}
	uuid := func() string {
		return m.of(hexes, 8) + "-" + m.of(hexes, 4) + "-4" + m.of(hexes, 3) + "-a" + m.of(hexes, 3) + "-" + m.of(hexes, 12)
	}
	ip := func() string { return fmt.Sprintf("%d.%d.%d.%d", 1+m.IntN(254), m.IntN(256), m.IntN(256), m.IntN(256)) }
	ver := func() string { return fmt.Sprintf("%d.%d.%d", m.IntN(30), m.IntN(100), m.IntN(1000)) }
	date := func() string { return fmt.Sprintf("20%02d-%02d-%02d", m.IntN(27), 1+m.IntN(12), 1+m.IntN(28)) }
	clock := func() string { return fmt.Sprintf("%02d:%02d:%02d", m.IntN(24), m.IntN(60), m.IntN(60)) }
	word := func() string {
		return pick(m, "orders", "backup", "report", "users", "config", "main", "index", "cache", "session", "data")
	}
	makers := []func() string{
		func() string { return "version " + ver() },
		func() string { return "v" + ver() + "-rc." + m.of(digits, 1) + "+build." + m.of(digits, 5) },
		func() string { return word() + "@" + ver() },
		func() string { return "@scope/" + word() + "@^" + ver() },
		func() string { return "chrome/" + fmt.Sprintf("%d.0.%d.%d", 80+m.IntN(60), m.IntN(9999), m.IntN(200)) },
		func() string { return "built with Go 1." + m.of(digits, 2) + "." + m.of(digits, 1) + " on " + date() },
		func() string { return date() + "T" + clock() + "Z" },
		func() string { return date() + " " + clock() + "." + m.of(digits, 6) + "+02" },
		func() string { return "created_at=" + date() + " " + clock() },
		func() string { return "1" + m.of("5678", 1) + m.of(digits, 8) },
		func() string { return "ts=17" + m.of(digits, 11) },
		func() string { return "epoch 17" + m.of(digits, 14) },
		func() string { return "timestamp: 17" + m.of(digits, 17) },
		uuid,
		func() string { return "request " + uuid() + " took " + m.of(digits, 3) + "ms" },
		func() string { return "/v1/items/" + uuid() + "?page=" + m.of(digits, 2) },
		func() string {
			return m.of(digits, 8) + "-" + m.of(digits, 4) + "-4" + m.of(digits, 3) + "-8" + m.of(digits, 3) + "-" + m.of(digits, 12)
		},
		func() string { return hash(16) },
		func() string { return "commit " + hash(20) },
		func() string { return "sha256:" + hash(32) },
		func() string { return word() + "@sha256:" + hash(32) },
		func() string { return "git checkout " + hash(20)[:7] },
		func() string { return "0x" + hash(32) },
		func() string { return "ETag: W/\"" + hash(20)[:18] + "\"" },
		func() string { return "sha512-" + base64.StdEncoding.EncodeToString([]byte(m.of(alnums, 64))) },
		func() string { return "ORD-" + fmt.Sprint(2018+m.IntN(8)) + "-" + m.of(digits, 6) },
		func() string { return "order #" + m.of(digits, 10) },
		func() string { return "Order no. " + m.of(digits, 16) },
		func() string { return "invoice INV" + m.of(digits, 9) },
		func() string {
			return "order number " + m.of(digits, 3) + "-" + m.of(digits, 7) + "-" + m.of(digits, 7)
		},
		func() string { return "tracking 1Z" + m.of(uppers+digits, 6) + m.of(digits, 10) },
		func() string { return "tracking number " + m.of(digits, 12) },
		func() string { return "SKU " + m.of(uppers, 3) + "-" + m.of(digits, 5) + "-" + m.of(uppers, 2) },
		func() string { return "part " + m.of(digits, 3) + "-" + m.of(digits, 2) + "-" + m.of(digits, 4) },
		func() string { return "PO-" + m.of(digits, 8) },
		func() string { return "customer id " + m.of(digits, 9) },
		func() string {
			return `{"id":` + m.of("123456789", 1) + m.of(digits, 8) + `,"qty":` + m.of(digits, 2) + `}`
		},
		func() string { return `{"user_id":` + "1" + m.of(digits, 17) + `}` },
		func() string { return "account " + m.of(digits, 8) },
		ip,
		func() string { return "connect to " + ip() + ":" + m.of("123456789", 1) + m.of(digits, 3) },
		func() string { return "route " + ip() + "/24 via " + ip() },
		func() string { return "[2001:db8::" + m.of(hexes, 4) + "]:443" },
		func() string { return "link/ether " + m.of(hexes, 2) + ":1a:2b:" + m.of(hexes, 2) + ":00:ff" },
		func() string { return "/var/log/" + word() + "/" + word() + "-" + date() + ".log" },
		func() string { return `C:\Users\` + word() + `\` + word() + `_` + m.of(digits, 8) + `.xlsx` },
		func() string {
			return "s3://bucket-" + m.of(digits, 12) + "/" + word() + "/" + m.of(digits, 10) + ".parquet"
		},
		func() string {
			return "/usr/lib/python3." + m.of(digits, 2) + "/site-packages/" + word() + ".py:" + m.of(digits, 3)
		},
		func() string { return "../" + word() + "/" + hash(16) + ".png" },
		func() string { return "logo@" + m.of("23", 1) + "x.png" },
		func() string { return base64.StdEncoding.EncodeToString([]byte(m.of(alnums+" ", 24+m.IntN(40)))) },
		func() string { return "data:image/png;base64,iVBORw0KGgo" + m.of(alnums+"+/", 60) },
		func() string { return base64.RawURLEncoding.EncodeToString([]byte(m.of(alnums, 30))) },
		func() string { return "git@github.com:" + word() + "/" + word() + ".git" },
		func() string { return "ssh deploy@" + word() + ":22" },
		func() string { return "getty@tty" + m.of(digits, 1) + ".service" },
		func() string { return "arn:aws:iam::" + m.of(digits, 12) + ":role/" + word() },
		func() string { return m.of(digits, 12) + ".dkr.ecr.eu-west-1.amazonaws.com/" + word() + ":" + ver() },
		func() string { return word() + "-" + m.of(hexes, 10) + "-" + m.of(lowers+digits, 5) },
		func() string { return "trace_id=" + hash(16) + " span_id=" + hash(16)[:16] },
		func() string { return "01" + m.of("ABCDEFGHJKMNPQRSTVWXYZ"+digits, 24) },
		func() string {
			return "$" + m.of("123456789", 1) + "," + m.of(digits, 3) + "," + m.of(digits, 3) + "." + m.of(digits, 2)
		},
		func() string { return "lat 52." + m.of(digits, 7) + ", lon 13." + m.of(digits, 7) },
		func() string {
			return "ISBN 978-" + m.of(digits, 1) + "-" + m.of(digits, 3) + "-" + m.of(digits, 5) + "-" + m.of(digits, 1)
		},
		func() string { return "EAN " + m.of(digits, 13) },
		func() string { return "barcode 4" + m.of(digits, 12) },
		func() string {
			return "size " + m.of(digits, 3) + "x" + m.of(digits, 3) + "x" + m.of(digits, 4) + " mm"
		},
		func() string { return "#" + m.of(hexes, 6) + " rgba(" + m.of(digits, 2) + ", 12, 200, 0.5)" },
		func() string { return "http://localhost:8080/" + word() + "/@" + word() },
		func() string {
			return "https://example.com/" + word() + "/" + m.of(digits, 10) + "/edit#L" + m.of(digits, 2)
		},
		func() string { return "Password must be at least 8 characters" },
		func() string {
			return "password: " + pick(m, "required", "incorrect", "${DB_PASSWORD}", "********", "<redacted>", "null")
		},
		func() string { return "token count: " + m.of(digits, 5) + ", max_tokens=" + m.of(digits, 4) },
		func() string { return "password = os.Getenv(\"DB_PASSWORD\")" },
		func() string { return "secret: {{ .Values." + word() + " }}" },
		func() string { return "eyJ" + m.of(alnums, 20) + "." + m.of(alnums, 20) },
		func() string { return "-----BEGIN CERTIFICATE-----" },
		func() string { return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" + m.of(alnums+"+/", 43) },
		func() string {
			return "SELECT " + word() + " FROM t WHERE id IN (" + m.of(digits, 7) + ", " + m.of(digits, 9) + ")"
		},
		func() string {
			return "rows=" + m.of(digits, 9) + " width=" + m.of(digits, 3) + " cost=0.00.." + m.of(digits, 5) + ".25"
		},
		func() string {
			return "pid " + m.of(digits, 5) + " port " + m.of(digits, 4) + " uptime " + m.of(digits, 7)
		},
		func() string {
			return m.of(digits, 2) + " " + m.of(digits, 3) + " " + m.of(digits, 2) + " " + m.of(digits, 4) + " " + m.of(digits, 1)
		},
		func() string { return "0." + m.of(digits, 16) },
		func() string { return "-" + m.of(digits, 3) + "." + m.of(digits, 12) + "e-05" },
		func() string { return "The quick brown fox jumps over the lazy dog again." },
		func() string { return "Meeting on " + date() + " at 10:30 in room " + m.of(digits, 3) },
		func() string { return "flight " + m.of(uppers, 2) + m.of(digits, 4) + " seat " + m.of(digits, 2) + "A" },
		func() string { return "error " + m.of(digits, 4) + " at 0x" + m.of(hexes, 12) },
		func() string { return m.of(uppers, 4) + m.of(digits, 4) + m.of(uppers, 2) },
		func() string { return "serial " + m.of(uppers+digits, 12) },
		func() string { return "ticket #" + m.of(digits, 7) + " closed on " + date() },
		func() string { return "a1=" + m.of(digits, 4) + "&b2=" + m.of(digits, 6) + "&c=" + m.of(alnums, 10) },
		func() string { return "item " + m.of(digits, 5) + "-" + m.of(digits, 5) + " qty 12" },
		func() string { return "batch " + m.of(digits, 8) + " of " + m.of(digits, 8) },
		func() string { return "com.example." + word() + ".Main@" + hash(16)[:8] },
	}
	var out []string
	for range 25 {
		for _, f := range makers {
			out = append(out, f())
		}
	}
	return out
}

// wanted is the least precision and recall of each kind.
func wanted(kind string) (precision, recall float64) {
	switch kind {
	case "email", "card", "iban":
		return 0.99, 0.99
	case "id.us.ssn":
		return 0.97, 0.97
	case "phone":
		return 0.95, 0.93
	}
	if strings.HasPrefix(kind, "secret.") && kind != "secret.password" && kind != "secret.authorization" && kind != "secret.url" {
		return 0.99, 0.99
	}
	return 0.95, 0.95
}

// TestCorpus holds the quality that the package promises. A value counts as found
// if a finding of its kind has its bounds; every other finding is a false one.
func TestCorpus(t *testing.T) {
	d, err := detect.New(detect.Config{Kinds: []string{"*"}})
	require.NoError(t, err)
	type count struct{ found, missed, wrong int }
	counts := map[string]*count{}
	of := func(kind string) *count {
		if counts[kind] == nil {
			counts[kind] = &count{}
		}
		return counts[kind]
	}
	shown := map[string]int{}
	show := func(what, kind string, text, more any) {
		if shown[what+kind]++; shown[what+kind] <= 4 {
			t.Logf("%s %s: %q %v", what, kind, text, more)
		}
	}
	texts := corpus(t)
	for _, c := range texts {
		found := false
		got := d.Find(nil, []byte(c.text), detect.Field{})
		for _, f := range got {
			switch at := strings.Index(c.text, c.value); {
			case string(f.Kind) == c.kind && f.Start == at && f.End == at+len(c.value):
				found = true
			case strings.HasPrefix(string(f.Kind), "net."): // asked for only by who wants it
			default:
				of(string(f.Kind)).wrong++
				show("wrong", string(f.Kind), c.text, f)
			}
		}
		if found {
			of(c.kind).found++
		} else {
			of(c.kind).missed++
			show("missed", c.kind, c.text, got)
		}
	}
	for kind, c := range counts {
		precision := float64(c.found) / float64(max(1, c.found+c.wrong))
		recall := float64(c.found) / float64(max(1, c.found+c.missed))
		p, r := wanted(kind)
		t.Logf("%-22s precision %.3f recall %.3f (%d found, %d missed, %d wrong)", kind, precision, recall, c.found, c.missed, c.wrong)
		if precision < p || recall < r {
			t.Errorf("%s: precision %.3f, at least %.2f wanted; recall %.3f, at least %.2f", kind, precision, p, recall, r)
		}
	}
	d, err = detect.New(detect.Config{})
	require.NoError(t, err)
	bad := 0
	none := negatives()
	for _, text := range none {
		if got := d.Find(nil, []byte(text), detect.Field{}); len(got) > 0 {
			bad++
			if bad < 60 {
				t.Logf("false: %q %v", text, got)
			}
		}
	}
	t.Logf("%d texts with a value, %d without one: false spans in %d of these (%.2f %%)", len(texts), len(none), bad, 100*float64(bad)/float64(len(none)))
	require.LessOrEqual(t, bad, len(none)/100, "false spans in texts without a value")
}
