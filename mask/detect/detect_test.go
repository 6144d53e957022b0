package detect_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask/detect"
)

func detector(t testing.TB, c detect.Config) *detect.Detector {
	d, err := detect.New(c)
	require.NoError(t, err)
	return d
}

// found returns what d finds as "kind=value" with spaces between.
func found(d *detect.Detector, text string, field detect.Field) string {
	var out []string
	for _, f := range d.Find(nil, []byte(text), field) {
		out = append(out, string(f.Kind)+"="+text[f.Start:f.End])
	}
	return strings.Join(out, " ")
}

func TestFind(t *testing.T) {
	d := detector(t, detect.Config{Kinds: []string{"*"}})
	for text, want := range map[string]string{
		// Addresses of people, and what is like them.
		"Ada <ada@example.com>, bob@x.org;":                             "email=ada@example.com email=bob@x.org",
		"mailto:ada@example.com?subject=x":                              "email=ada@example.com",
		`{"a":"\u003cada@example.com\u003e"}`:                           "email=ada@example.com",
		`"first\nada@example.com"`:                                      "email=ada@example.com",
		"to=ada%40example.com&x=1":                                      "email=ada%40example.com",
		`ada&#64;example.com {"m":"ada\u0040example.com"} &#64; \u0040`: `email=ada&#64;example.com email=ada\u0040example.com`,
		`ada&#x40;example.com "bob&#X40;x.org" &#x40; &x40;`:            `email=ada&#x40;example.com email=bob&#X40;x.org`,
		"write to ada@example.com.":                                     "email=ada@example.com",
		"'ada@example.com'":                                             "email=ada@example.com",
		"邮箱：ada@example.com":                                            "email=ada@example.com",
		"git@github.com:org/repo.git":                                   "",
		"rsync x ada@host.example.com:/srv":                             "",
		"root@web.prod.example.com:~# ls":                               "",
		"https://ada@example.com/x":                                     "",
		"https://medium.com/@ada.lovelace":                              "",
		"lodash@4.17.21 react@npm:18.2.0":                               "",
		"ada@localhost ada@-x.com ada@x..com ada@x.c":                   "",
		"icon@2x.png alert@.service":                                    "",
		// Cards.
		"4111111111111111":                                                           "card=4111111111111111",
		"pay 5500 0055 5555 5559 now":                                                "card=5500 0055 5555 5559",
		"4111-1111-1111-1111/12/26":                                                  "card=4111-1111-1111-1111",
		"id 77 4111 1111 1111 1111 123":                                              "card=4111 1111 1111 1111",
		"3714 496353 98431":                                                          "card=3714 496353 98431",
		"41111111111111112 4111111111111112 0000000000000000":                        "",
		"4111 1111 1111 1111 5500 0055 5555 5559 2027":                               "card=4111 1111 1111 1111 card=5500 0055 5555 5559",
		"4111 1111 1111 1111 4111 1111 1111 1111 5500 0055 5555 5559":                "card=4111 1111 1111 1111 card=4111 1111 1111 1111 card=5500 0055 5555 5559",
		"4111-1111-1111-1111 5500-0055-5555-5559 1234":                               "card=4111-1111-1111-1111 card=5500-0055-5555-5559",
		"1234 4111 1111 1111 1111, 4111 1111 1111 1111 1234 1234":                    "",
		"4111 1111 1111 1111 1234 5678 9012 3456":                                    "",
		"%B4111111111111111^LOVELACE/ADA^25121010000?;4111111111111111=25121010000?": "card=4111111111111111 card=4111111111111111",
		"B4111111111111112^ XB4111111111111111^ B4111111111111111":                   "",
		"4111 1111 1111-1111 a4111111111111111 4111111111111111b":                    "",
		"order 4111111111111111":                                                     "",
		"order paid with card 4111111111111111":                                      "card=4111111111111111",
		"**** **** **** 1111":                                                        "",
		"1700000000000 1700000000000000 4222222222222":                               "card=4222222222222",
		// Accounts.
		"IBAN DE89370400440532013000.":                 "iban=DE89370400440532013000",
		"gb82 west 1234 5698 7654 32":                  "iban=gb82 west 1234 5698 7654 32",
		"GB82WEST12345698765433 DE8937040044053201300": "",
		"NO9386011117947, BE68 5390 0754 7034":         "iban=NO9386011117947 iban=BE68 5390 0754 7034",
		"wire via SWIFT DEUTDEFF500 today":             "bic=DEUTDEFF500",
		"DEUTDEFF CHASUS33":                            "",
		// Numbers of people.
		"536-90-4399":                     "id.us.ssn=536-90-4399",
		"ssn 536 90 4399, ssn: 536904399": "id.us.ssn=536 90 4399 id.us.ssn=536904399",
		"536904399 000-12-3456 666-12-3456 900-12-3456 078-05-1120": "",
		"part no. 536-90-4399":               "",
		`{"ssn":"536904399","id":536904399}`: "id.us.ssn=536904399",
		"id;ssn\n7;536904399":                "",
		"DOB 03/12/1985 seen 03/12/2021":     "birth_date=03/12/1985",
		"born on 12 March 1985 in Rome":      "birth_date=12 March 1985",
		"due 1985-03-12":                     "",
		"dob 1985-13-12":                     "",
		"SSN\u00a0536904399, “ssn” 536904399, SSN：536904399, ssn\u3000536904399": "id.us.ssn=536904399 id.us.ssn=536904399 id.us.ssn=536904399 id.us.ssn=536904399",
		// Telephones.
		"+1 415 555 2671 or +49 (0)30 901820":                          "phone=+1 415 555 2671 phone=+49 (0)30 901820",
		"tel:+12015550123":                                             "phone=+12015550123",
		"(415) 555-2671 x12, 415.555.2671":                             "phone=(415) 555-2671 phone=415.555.2671",
		"+0200 +12.5% +1234567890123456 +999123456789 1+4915112345678": "",
		"2024-01-15T10:30:00+02:00":                                    "",
		"phone: 555-1234":                                              "phone=555-1234",
		"call 0049 30 123456 now":                                      "phone=0049 30 123456",
		"order 415-555-2671":                                           "",
		// Networks.
		"peer 10.0.0.1:22 [2001:db8::1]:443 ::1":                "net.ip=10.0.0.1 net.ip=2001:db8::1 net.ip=::1",
		"v1.2.3.4 version 1.2.3.4 256.1.1.1 1.2.3.4.5 01.2.3.4": "",
		"00:1a:2b:3c:4d:5e 00-1A-2B-3C-4D-5E 10:20:30":          "net.mac=00:1a:2b:3c:4d:5e net.mac=00-1A-2B-3C-4D-5E",
		"std::vector a::b": "",
		"ada.@docomo.ne.jp, a..da@docomo.ne.jp, x...@{u}":       "email=ada.@docomo.ne.jp email=a..da@docomo.ne.jp",
		"login ada@example.com@10.0.0.5 and bob@x.org@db.y.org": "email=ada@example.com net.ip=10.0.0.5 email=bob@x.org",
		"<bounces+12-ab=ada=example.com@x.org> to=a.da@x.org":   "email=bounces+12-ab=ada=example.com@x.org email=a.da@x.org",
		// Secrets.
		"ALTER ROLE x PASSWORD 'it''s tiger''s'; x":                                          "secret.password=it''s tiger''s",
		"password='' user='x'":                                                               "",
		"postgres://app:s3cr3t@db:5432/x?a=b":                                                "secret.url=s3cr3t",
		"root:hunter2@tcp(db:3306)/x":                                                        "secret.url=hunter2",
		"https://user:${PASS}@host/ http://h:8080/x@y":                                       "",
		"jdbc:mysql://h/d?user=u&password=p4ss&x=y":                                          "secret.password=p4ss",
		"ALTER ROLE x PASSWORD 'tiger'":                                                      "secret.password=tiger",
		`IDENTIFIED WITH sha256_password BY 'tiger', IDENTIFIED BY "tiger"`:                  "secret.password=tiger secret.password=tiger",
		"ORDER BY 'tiger', WITH x BY 'tiger', password \"is weak\"":                          "",
		"machine h login ada password tiger account x":                                       "secret.password=tiger",
		"machine h\n  login ada\n  password tig3r\n":                                         "secret.password=tig3r",
		"a password tiger, my password is\n  password manager\n":                             "",
		"curl -su x -u ada:tiger https://h, curl --user ada:tiger h":                         "secret.password=tiger secret.password=tiger",
		"docker run -u ada:tiger x, curl -H a:tiger":                                         "",
		"<Password>big tiger</Password><c:secret>tiger</c:secret>":                           "secret.password=big tiger secret.password=tiger",
		`<property name="db.password">tiger</property><entry key="dbPassword">tiger</entry>`: "secret.password=tiger secret.password=tiger",
		`<add key="DbPassword" value="tiger" />, {"name": "DB_PASSWORD", "value": "tiger"}`:  "secret.password=tiger secret.password=tiger",
		`{\"name\":\"DB_PASSWORD\",\"value\":\"tiger\"} value=tiger, name=x value=tiger`:     "secret.password=tiger",
		"<password/><password></password><password>${P}</password></password>tiger</b>":      "",
		"<th>Password</th><td>tiger</td> map<string, password>tiger<x> <password>\n  <x/>":   "",
		"password:                tiger1\nPassword:        Confirm: x":                       "secret.password=tiger1",
		"Key         Value\npassword    tiger1\nuser        x\n":                             "secret.password=tiger1",
		"- name: DB_PASSWORD\n  value: tiger1\n":                                             "secret.password=tiger1",
		"password:\ttiger1":                                                                  "secret.password=tiger1",
		"CREATE USER x IDENTIFIED BY 'tiger'":                                                "secret.password=tiger",
		"password: letmein":                                                                  "secret.password=letmein",
		"export DB_PASSWORD=letmein":                                                         "secret.password=letmein",
		`password = "correct horse"`:                                                         "secret.password=correct horse",
		`{\"password\":\"hunter2\"}`:                                                         "secret.password=hunter2",
		"if password == other || passwd != x":                                                "",
		"password: str, token: string, secret=$SECRET":                                       "",
		"Key=backups/db-2024-01-15.tar.gz":                                                   "",
		"cache key: user-profile-page-2024-01-15":                                            "",
		"public_key=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE":                                    "",
		"api_key=8f14e45fceea167a5a36dedd4bea2543":                                           "secret.password=8f14e45fceea167a5a36dedd4bea2543",
		"token=" + "ghp_16C7e42F292c6912E7710c838347Ae178B4a":                                "secret.github=ghp_16C7e42F292c6912E7710c838347Ae178B4a",
		"ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx":                                           "",
		"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY":                   "secret.aws=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"Authorization: Basic YWRhOnMzY3IzdA==":                                              "secret.authorization=YWRhOnMzY3IzdA==",
		"Authorization: Token 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b":                      "secret.password=9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
		`{"Authorization":"ApiKey bm90LXJlYWwta2V5LTEyMzQ1Njc4OTA="}`:                        "secret.password=bm90LXJlYWwta2V5LTEyMzQ1Njc4OTA=",
		"Authorization: required for all of them in version2":                                "",
		"?sv=2022-11-02&sig=aB3%2FcdEfGh12IjKlMnOpQr%2BStUvWxYz0123456789AbC%3D&se=2024":     "secret.password=aB3%2FcdEfGh12IjKlMnOpQr%2BStUvWxYz0123456789AbC%3D",
		"?key=some%20title%20of%202024%20in%20text":                                          "",
		"api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw9/getMe":            "secret.token=110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw9",
		"eyJhbGciOiJub25lIn0.eyJhIjoxfQ. next":                                               "secret.jwt=eyJhbGciOiJub25lIn0.eyJhIjoxfQ.",
		"eyJmb28iOiJiYXIifQ.eyJhIjoxfQ.c2ln":                                                 "",
		"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----":                         "",
		"x -----BEGIN RSA PRIVATE KEY-----\nMIIE":                                            "secret.private_key=-----BEGIN RSA PRIVATE KEY-----\nMIIE",
		"client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVB":  "secret.private_key=LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVB",
		"client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUM":               "",
		"D.O.B. 5-Mar-1980, seen 6-Mar-2020":                                                 "birth_date=5-Mar-1980",
		"driver's license D123-456-78-901-0 of FL":                                           "id.driver_license=D123-456-78-901-0",
		"social insurance 046 454 286":                                                       "id.ca.sin=046 454 286",
		"tracking 9400 4111 1111 1111 1111 0000":                                             "",
		"bot 110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw9!":                                 "secret.token=110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw9",
		"+44 (0) 20 7946 0958":                                                               "phone=+44 (0) 20 7946 0958",
		"200-300-4000 mm":                                                                    "",
		"+33.1.23.45.67.89 or 1-800-555-0199":                                                "phone=+33.1.23.45.67.89 phone=1-800-555-0199",
		"::ffff:10.0.0.1 fe80::1%eth0 10.0.0.0/8":                                            "net.ip=::ffff:10.0.0.1 net.ip=fe80::1 net.ip=10.0.0.0",
		"4111\u00a01111\u00a01111\u00a01111, 3782\u2011822463\u201110005 4111\u00a0x":        "card=4111\u00a01111\u00a01111\u00a01111 card=3782\u2011822463\u201110005",
		"+33\u202f6\u202f12\u202f34\u202f56\u202f78, +1\u00a0(415)\u00a0555\u20112671":       "phone=+33\u202f6\u202f12\u202f34\u202f56\u202f78 phone=+1\u00a0(415)\u00a0555\u20112671",
		"536\u201390\u20134399; DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000":        "id.us.ssn=536\u201390\u20134399 iban=DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
		`{"card":4111111111111111.0,"ssn":536904399.00,"at":1705314600.0}`:                   "card=4111111111111111 id.us.ssn=536904399",
		"4111.1111.1111.1111":                                                                "card=4111.1111.1111.1111",
		"0171/1234567 tel. 0171/1234567":                                                     "phone=0171/1234567 phone=0171/1234567",
		"":                                                                                   "",
	} {
		require.Equal(t, want, found(d, text, detect.Field{}), "%q", text)
	}
}

// A field's name says what bare digits are.
// The forms of tokens are found whole, and none of its beginning alone.
func TestTokens(t *testing.T) {
	d := detector(t, detect.Config{Kinds: []string{"*"}})
	m := maker{rand.New(rand.NewPCG(1, 2))}
	for _, token := range []string{
		"ATATT3xFfGF0" + m.of(urls, 180) + "a=" + m.of(hexes, 8), "sntrys_eyJpYXQiO" + m.of(alnums, 80) + "=_" + m.of(alnums, 43), "oy2" + m.of(lowers+digits, 43),
		"ABSK" + m.of(alnums, 110) + "=", "bedrock-api-key-" + m.of(alnums, 300), "glrtr-" + m.of(alnums, 20), "GR1348941" + m.of(alnums, 20), "rk_prod_" + m.of(alnums, 24),
		"hooks.slack.com/workflows/T" + m.of(uppers, 8) + "/A" + m.of(uppers, 10) + "/" + m.of(digits, 18) + "/" + m.of(alnums, 24),
		"discord.com/api/webhooks/" + m.of(digits, 18) + "/" + m.of(alnums, 68), "b3BlbnNzaC1rZXktdjE" + m.of(alnums, 200), "EAAM" + m.of(alnums, 150),
		"A3-" + m.of(uppers, 6) + "-" + m.of(uppers, 11) + "-" + m.of(uppers, 5) + "-" + m.of(uppers, 5) + "-" + m.of(uppers, 5), "ops_eyJ" + m.of(alnums, 250),
		"CCIPAT_" + m.of(alnums, 22) + "_" + m.of(hexes, 40), "HRKU-AA" + m.of(alnums, 58), "dp.pt." + m.of(alnums, 43), "dp.st.dev." + m.of(alnums, 40), "fm2_" + m.of(alnums+"+/", 500),
		"lin_oauth_" + m.of(hexes, 64), "lsv2_pt_" + m.of(hexes, 32) + "_" + m.of(hexes, 10), "pat" + m.of(alnums, 14) + "." + m.of(hexes, 64),
		"pat." + m.of(alnums, 22) + "." + m.of(hexes, 24) + "." + m.of(alnums, 20), "pplx-" + m.of(alnums, 48), "rdme_" + m.of(lowers+digits, 70), "sb_secret_" + m.of(alnums, 31),
		"sdk-01234567-89ab-4def-8123-456789abcdef", "sgp_" + m.of(hexes, 16) + "_" + m.of(hexes, 40), "sha256~" + m.of(alnums, 43), "sk.eyJ" + m.of(alnums, 60) + "." + m.of(alnums, 22),
		"sl.u." + m.of(alnums, 140), "squ_" + m.of(hexes, 40), "v1.0-" + m.of(hexes, 24) + "-" + m.of(hexes, 146), "xkeysib-" + m.of(hexes, 64) + "-" + m.of(alnums, 16),
		"vercel_blob_rw_" + m.of(alnums, 16) + "_" + m.of(alnums, 30), m.of(alnums, 14) + ".atlasv1." + m.of(alnums, 67),
	} {
		_, hidden, _ := strings.Cut(found(d, "use "+token+", please", detect.Field{}), "=")
		if _, secret, ok := strings.Cut(token, ".atlasv1."); ok { // what stands before it is a name
			token = "atlasv1." + secret
		}
		require.Equal(t, token, hidden)
	}
	require.Empty(t, found(d, "pat pat. sat. sl. rnd_ sdk-for-everything-that-has-its-36-letters re_x API-KEY v1.0-beta", detect.Field{}))
}

func TestField(t *testing.T) {
	d := detector(t, detect.Config{})
	for field, want := range map[string]string{"": "", "ssn": "id.us.ssn", "customer.socialSecurityNumber": "id.us.ssn", "PHONE_NO": "phone", "work_phone": "phone",
		"routingNumber": "aba", "quantity": "", "passport_no": "id.passport"} {
		got, _, _ := strings.Cut(found(d, "011401533", d.Field(field)), "=")
		require.Equal(t, want, got, "%q", field)
	}
	require.Equal(t, "birth_date=1985-03-12", found(d, "1985-03-12", d.Field("dateOfBirth")))
	require.Equal(t, "", found(d, "1985-03-12", d.Field("created")))
	// What it is called besides takes nothing away.
	d = detector(t, detect.Config{Kinds: []string{"*"}})
	require.Equal(t, "", found(d, "10.0.0.1", d.Field("version")))
	for _, field := range []string{"version.host", "v.", "version.agent_ip.peer"} {
		require.Equal(t, "net.ip=10.0.0.1", found(d, "10.0.0.1", d.Field(field)), field)
	}
	require.Equal(t, "id.us.ssn=536904399", found(d, "536904399", d.Field(strings.Repeat("x", 3000)+".ssn")))
}

func TestKinds(t *testing.T) {
	text := "ada@example.com 10.0.0.1 536-90-4399 4111111111111111"
	for pattern, want := range map[string]string{"email": "email=ada@example.com", "id.*": "id.us.ssn=536-90-4399", "net.*": "net.ip=10.0.0.1"} {
		require.Equal(t, want, found(detector(t, detect.Config{Kinds: []string{pattern}}), text, detect.Field{}))
	}
	require.NotContains(t, found(detector(t, detect.Config{}), text, detect.Field{}), "net.ip")
	require.Equal(t, "email=ada@example.com card=4111111111111111", found(detector(t, detect.Config{Min: 80}), text, detect.Field{}))
	for want, c := range map[string]detect.Config{
		`there is no kind "emial"`:                     {Kinds: []string{"emial"}},
		`there is no kind "ids.*"`:                     {Kinds: []string{"ids.*"}},
		"the lowest score is 101":                      {Min: 101},
		`there are two kinds "email"`:                  {Custom: []detect.Custom{{Kind: "email", Pattern: "x"}}},
		`kind "x": its pattern matches the empty text`: {Custom: []detect.Custom{{Kind: "x", Pattern: "x*"}}},
		`kind "x": error parsing`:                      {Custom: []detect.Custom{{Kind: "x", Pattern: "("}}},
		`kind "": a kind has a name`:                   {Custom: []detect.Custom{{Pattern: "x"}}},
		`kind "x": MaxLen`:                             {Custom: []detect.Custom{{Kind: "x", Pattern: "x", MaxLen: 1 << 20}}},
		`kind "x": an empty text`:                      {Custom: []detect.Custom{{Kind: "x", Pattern: "x", Near: []string{""}}}},
	} {
		_, err := detect.New(c)
		require.ErrorContains(t, err, want)
	}
}

func TestCustom(t *testing.T) {
	d := detector(t, detect.Config{Custom: []detect.Custom{
		{Kind: "staff", Pattern: `\bEMP-\d{6}\b`, Near: []string{"EMP-"}},
		{Kind: "badge", Pattern: `\b\d{5}\b`, Words: []string{"badge", "door card"}},
		{Kind: "even", Pattern: `\bE\d{4}\b`, Valid: func(b []byte) bool { return b[len(b)-1]%2 == 0 }},
	}})
	for text, want := range map[string]string{
		"EMP-123456, EMP-1234567 and ada@example.com": "staff=EMP-123456 email=ada@example.com",
		"badge 12345; room 54321":                     "badge=12345",
		"the door card 12345":                         "badge=12345",
		"12345":                                       "",
		"E1234 E1235":                                 "even=E1234",
	} {
		require.Equal(t, want, found(d, text, detect.Field{}), "%q", text)
	}
	require.Equal(t, "badge=12345", found(d, "12345", d.Field("badgeNo")))
}

// Of what overlaps nothing is left out, whichever is surer.
func TestOverlaps(t *testing.T) {
	d := detector(t, detect.Config{Custom: []detect.Custom{
		{Kind: "staff", Pattern: `EMP-\d{6}`}, {Kind: "room", Pattern: `\d{6}-[A-Z]+`}, {Kind: "floor", Pattern: `[A-Z]+-F\d`},
		{Kind: "wing", Pattern: `56-EAST-F\d+ \w+`},
	}})
	for text, want := range map[string]string{
		"password=hunter-EMP-123456-x":        "secret.password=hunter-EMP-123456-x",
		"at EMP-123456-EAST":                  "staff=EMP-123456 room=-EAST",
		"at EMP-123456-EAST-F2":               "staff=EMP-123456 room=-EAST floor=-F2",
		"EMP-123456 ada@example.com, EAST-F2": "staff=EMP-123456 email=ada@example.com floor=EAST-F2",
		"at EMP-123456-EAST-F21 west":         "staff=EMP-123456 wing=-EAST-F21 west",
	} {
		require.Equal(t, want, found(d, text, detect.Field{}), "%q", text)
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	d := detector(t, detect.Config{})
	out := make([]detect.Finding, 0, 8)
	for _, text := range []string{clean, "order 12345 shipped on 2024-01-15 10:30:00", "ada@example.com 4111 1111 1111 1111 ssn 536904399"} {
		in := []byte(text)
		require.Zero(t, testing.AllocsPerRun(100, func() { out = d.Find(out[:0], in, detect.Field{}) }), text)
	}
}

// FuzzFind: findings lie in the text, in order, do not overlap, and are the same
// twice; and what stands in front, in another line, changes nothing of them.
func FuzzFind(f *testing.F) {
	for _, s := range []string{clean, "ada@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+49 (0)30 901820", "131052-308T", "1-2-3-4-5-6-7-8-9-0-1",
		"-----BEGIN RSA PRIVATE KEY-----", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", `\u003ca@b.cc`, "x://a:b@c", "password=\\\"x", "AB 12 34 56 C", "::1", "\xff\xfe@\xff.com", "((((1)", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"} {
		f.Add([]byte(s))
	}
	d := detector(f, detect.Config{Kinds: []string{"*"}, Min: 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		got := d.Find(nil, text, detect.Field{})
		at := 0
		for _, x := range got {
			if x.Start < at || x.End <= x.Start || x.End > len(text) || x.Score < 1 || x.Score > 100 || x.Kind == "" {
				t.Fatalf("%q: %v", text, got)
			}
			at = x.End
		}
		if !bytes.Equal(before, text) || !slices.Equal(got, d.Find(nil, text, detect.Field{})) {
			t.Fatalf("%q: not the same twice", text)
		}
	})
}

// What is longer than what is looked at is found to its end.
func TestLongValues(t *testing.T) {
	d, err := detect.New(detect.Config{})
	require.NoError(t, err)
	m := maker{rand.New(rand.NewPCG(5, 6))}
	enc := base64.RawURLEncoding
	jwt := enc.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + enc.EncodeToString([]byte(`{"sub":"`+m.of(alnums, 600)+`"}`)) + "." + m.of(urls, 342) + "k"
	long := m.of(alnums, 700)
	for text, want := range map[string]string{
		`{"access_token":"` + jwt + `"}`: jwt, "token=" + jwt + "&x=1": jwt, "Cookie: session=" + jwt + "; Path=/": jwt, "Authorization: Bearer " + jwt: jwt,
		"password=" + long + " x": long, `{"password": "` + long + `", "x": 1}`: long, "api_key=" + long: long, "secret: " + long + "\nx": long,
	} {
		got := d.Find(nil, []byte(text), detect.Field{})
		require.Len(t, got, 1, text)
		require.Equal(t, want, text[got[0].Start:got[0].End])
	}
}

// TestFindLong would take minutes if what begins again and again were looked at to its
// end each time.
func TestFindLong(t *testing.T) {
	d := detector(t, detect.Config{Custom: []detect.Custom{{Kind: "own.y", Pattern: "yy"}}})
	for _, unit := range []string{"-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n", "sl.", "ada@example.com yy "} {
		found := d.Find(nil, []byte(strings.Repeat(unit, 1<<19/len(unit))), detect.Field{})
		require.True(t, slices.IsSortedFunc(found, func(a, b detect.Finding) int { return a.Start - b.Start }), unit)
	}
	// The last line of a key is found where a former one has none.
	text := strings.Repeat("-----BEGIN PRIVATE KEY----- x ", 3000) + "\n-----BEGIN PRIVATE KEY-----\nMIIE hidden\n-----END PRIVATE KEY-----"
	found := d.Find(nil, []byte(text), detect.Field{})
	require.Equal(t, len(text), found[len(found)-1].End)
}
