package detect

import "bytes"

// The alphabets of tokens.
const (
	inAlnum  = iota // letters and digits
	inWord          // and _
	inURL           // and - (base64url)
	inUpper         // capital letters and digits
	inHex           // small hexadecimal
	inBase64        // letters, digits, + / =
	inDotted        // base64url and dots
	inEither        // base64url or base64
)

func inAlphabet(a int, c byte) bool {
	switch a {
	case inAlnum:
		return isAlnum(c)
	case inWord:
		return isAlnum(c) || c == '_'
	case inURL:
		return isAlnum(c) || c == '_' || c == '-'
	case inUpper:
		return class[c]&(upper|digit) != 0
	case inHex:
		return isDigit(c) || 'a' <= c && c <= 'f'
	case inBase64:
		return isAlnum(c) || c == '+' || c == '/' || c == '='
	case inEither:
		return isAlnum(c) || c == '+' || c == '/' || c == '=' || c == '_' || c == '-'
	}
	return isAlnum(c) || c == '_' || c == '-' || c == '.'
}

// A prefix is how a secret begins, and what follows.
type prefix struct {
	text     string
	kind     id
	alphabet int
	min, max int // of what follows
}

// prefixes are the forms that issuers document, or that scanners of
// repositories know. Of those with one beginning the longest stands first.
var prefixes = []prefix{
	{"AKIA", secretAWS, inUpper, 16, 16}, {"ASIA", secretAWS, inUpper, 16, 16}, {"ABIA", secretAWS, inUpper, 16, 16}, {"ACCA", secretAWS, inUpper, 16, 16},
	{"github_pat_", secretGitHub, inWord, 36, 255}, {"ghp_", secretGitHub, inAlnum, 36, 255}, {"gho_", secretGitHub, inAlnum, 36, 255},
	{"ghu_", secretGitHub, inAlnum, 36, 255}, {"ghs_", secretGitHub, inDotted, 36, 2048}, {"ghr_", secretGitHub, inAlnum, 36, 255},
	{"glpat-", secretGitLab, inDotted, 20, 320}, {"glptt-", secretGitLab, inURL, 20, 64}, {"gldt-", secretGitLab, inURL, 20, 64},
	{"glrt-", secretGitLab, inDotted, 20, 320}, {"glcbt-", secretGitLab, inURL, 20, 80}, {"glsoat-", secretGitLab, inURL, 20, 64},
	{"glft-", secretGitLab, inURL, 20, 64}, {"glimt-", secretGitLab, inURL, 20, 64}, {"glagent-", secretGitLab, inURL, 50, 64}, {"gloas-", secretGitLab, inURL, 20, 80},
	{"xoxb-", secretSlack, inURL, 20, 255}, {"xoxp-", secretSlack, inURL, 20, 255}, {"xoxa-", secretSlack, inURL, 12, 255}, {"xoxr-", secretSlack, inURL, 12, 255},
	{"xoxs-", secretSlack, inURL, 12, 255}, {"xoxo-", secretSlack, inURL, 12, 255}, {"xoxe-", secretSlack, inURL, 12, 255}, {"xoxe.xoxb-", secretSlack, inURL, 20, 400},
	{"xoxe.xoxp-", secretSlack, inURL, 20, 400}, {"xoxc-", secretSlack, inURL, 20, 255}, {"xoxd-", secretSlack, inURL, 20, 400}, {"xapp-", secretSlack, inURL, 20, 255},
	{"sk_live_", secretStripe, inAlnum, 16, 255}, {"sk_test_", secretStripe, inAlnum, 16, 255}, {"rk_live_", secretStripe, inAlnum, 16, 255},
	{"rk_test_", secretStripe, inAlnum, 16, 255}, {"whsec_", secretStripe, inBase64, 24, 128},
	{"AIza", secretGoogle, inURL, 35, 35}, {"ya29.", secretGoogle, inURL, 30, 2048}, {"GOCSPX-", secretGoogle, inURL, 28, 28},
	{"sk-ant-", secretAnthropic, inURL, 24, 255}, {"sk-proj-", secretOpenAI, inURL, 24, 255}, {"sk-svcacct-", secretOpenAI, inURL, 24, 255},
	{"sk-admin-", secretOpenAI, inURL, 24, 255}, {"sk-None-", secretOpenAI, inURL, 24, 255}, {"sk-or-v1-", secretToken, inHex, 64, 64}, {"sk-", secretOpenAI, inAlnum, 32, 64},
	{"npm_", secretNPM, inAlnum, 36, 36}, {"pypi-AgE", secretPyPI, inURL, 50, 1024}, {"SG.", secretSendGrid, inDotted, 60, 70},
	{"SK", secretTwilio, inHex, 32, 32},
	{"dop_v1_", secretToken, inHex, 64, 64}, {"doo_v1_", secretToken, inHex, 64, 64}, {"dor_v1_", secretToken, inHex, 64, 64}, {"hf_", secretToken, inAlnum, 34, 40},
	{"shpat_", secretToken, inHex, 32, 32}, {"shpca_", secretToken, inHex, 32, 32}, {"shppa_", secretToken, inHex, 32, 32}, {"shpss_", secretToken, inHex, 32, 32},
	{"sq0atp-", secretToken, inURL, 22, 22}, {"sq0csp-", secretToken, inURL, 43, 43}, {"EAAAE", secretToken, inURL, 59, 59}, {"EAA", secretToken, inAlnum, 100, 400}, {"dapi", secretToken, inHex, 32, 34},
	{"hvs.", secretToken, inURL, 24, 200}, {"hvb.", secretToken, inURL, 24, 300}, {"hvr.", secretToken, inURL, 24, 300}, {"glsa_", secretToken, inWord, 40, 48},
	{"glc_", secretToken, inBase64, 32, 400}, {"ATATT3", secretToken, inEither, 20, 255}, {"ATCTT3", secretToken, inEither, 20, 255}, {"lin_api_", secretToken, inAlnum, 40, 40},
	{"PMAK-", secretToken, inURL, 59, 59}, {"NRAK-", secretToken, inUpper, 27, 27}, {"pscale_tkn_", secretToken, inDotted, 32, 64}, {"pscale_pw_", secretToken, inDotted, 32, 64},
	{"pscale_oauth_", secretToken, inDotted, 32, 64}, {"dckr_pat_", secretToken, inURL, 27, 32}, {"dckr_oat_", secretToken, inURL, 27, 48}, {"rubygems_", secretToken, inHex, 48, 48},
	{"sntrys_", secretToken, inEither, 40, 500}, {"sntryu_", secretToken, inHex, 64, 64}, {"tskey-", secretToken, inURL, 20, 80}, {"sbp_", secretToken, inHex, 40, 40},
	{"AGE-SECRET-KEY-1", secretToken, inUpper, 58, 58}, {"ntn_", secretToken, inAlnum, 46, 50}, {"secret_", secretToken, inAlnum, 43, 43}, {"key-", secretToken, inHex, 32, 32},
	{"figd_", secretToken, inURL, 40, 45}, {"pat-na1-", secretToken, inURL, 36, 36}, {"pat-eu1-", secretToken, inURL, 36, 36}, {"pul-", secretToken, inHex, 40, 40},
	{"gsk_", secretToken, inAlnum, 52, 52}, {"xai-", secretToken, inAlnum, 80, 80}, {"r8_", secretToken, inAlnum, 37, 37}, {"AKCp", secretToken, inAlnum, 69, 69},
	{"fio-u-", secretToken, inURL, 64, 64}, {"PRVT_KEY_", secretToken, inURL, 20, 80}, {"LS0tLS1CRUdJTi", secretPrivateKey, inBase64, 40, 16 << 10},
	{"CFPAT-", secretToken, inURL, 43, 43}, {"shippo_live_", secretToken, inHex, 40, 40}, {"FLWSECK-", secretToken, inAlnum, 32, 40}, {"dt0c01.", secretToken, inDotted, 80, 100},
	{"oy2", secretToken, inAlnum, 43, 43}, {"fo1_", secretToken, inURL, 43, 43}, {"hooks.slack.com/services/", secretSlack, inBase64, 40, 60},
	{"hooks.slack.com/workflows/", secretSlack, inBase64, 40, 90}, {"hooks.slack.com/triggers/", secretSlack, inBase64, 40, 90},
	{"ABSK", secretAWS, inBase64, 109, 269}, {"bedrock-api-key-", secretAWS, inEither, 60, 4096},
	{"glrtr-", secretGitLab, inURL, 20, 64}, {"glffct-", secretGitLab, inURL, 20, 64}, {"GR1348941", secretGitLab, inURL, 20, 64},
	{"sk_prod_", secretStripe, inAlnum, 16, 255}, {"rk_prod_", secretStripe, inAlnum, 16, 255}, {"sk_org_", secretStripe, inWord, 16, 255},
	{"b3BlbnNzaC1rZXktdjE", secretPrivateKey, inBase64, 40, 16 << 10},
	{"discord.com/api/webhooks/", secretToken, inEither, 80, 100}, {"discordapp.com/api/webhooks/", secretToken, inEither, 80, 100},
	{"A3-", secretToken, inURL, 36, 36}, {"AKID", secretToken, inAlnum, 32, 32}, {"API-", secretToken, inUpper, 26, 26}, {"AQVN", secretToken, inURL, 35, 38},
	{"ATBB", secretToken, inAlnum, 32, 32}, {"CCIPAT_", secretToken, inWord, 60, 70}, {"CCIPRJ_", secretToken, inWord, 60, 70}, {"CLOJARS_", secretToken, inAlnum, 60, 60},
	{"EZAK", secretToken, inAlnum, 54, 54}, {"EZTK", secretToken, inAlnum, 54, 54}, {"FLWSECK_TEST-", secretToken, inURL, 34, 34}, {"HRKU-AA", secretToken, inURL, 58, 60},
	{"LTAI", secretToken, inAlnum, 20, 20}, {"NRII-", secretToken, inURL, 32, 32}, {"NRJS-", secretToken, inHex, 19, 19}, {"NRRA-", secretToken, inHex, 42, 42},
	{"aio_", secretToken, inAlnum, 28, 28}, {"api_org_", secretToken, inAlnum, 34, 34}, {"atlasv1.", secretToken, inURL, 60, 70}, {"bkua_", secretToken, inHex, 40, 40},
	{"cmVmdGtu", secretToken, inAlnum, 56, 56}, {"csk-", secretToken, inAlnum, 48, 48}, {"dnkey-", secretToken, inURL, 79, 79}, {"dp.pt.", secretToken, inAlnum, 40, 44}, {"dp.st.", secretToken, inDotted, 40, 80},
	{"dp.ct.", secretToken, inAlnum, 40, 44}, {"dp.sa.", secretToken, inAlnum, 40, 44}, {"dp.scim.", secretToken, inAlnum, 40, 44}, {"dp.audit.", secretToken, inAlnum, 40, 44},
	{"duffel_live_", secretToken, inURL, 43, 43}, {"duffel_test_", secretToken, inURL, 43, 43}, {"esecret_", secretToken, inAlnum, 24, 64}, {"eyJrIjoi", secretToken, inBase64, 70, 400},
	{"fm1a_", secretToken, inBase64, 100, 8192}, {"fm1r_", secretToken, inBase64, 100, 8192}, {"fm2_", secretToken, inBase64, 100, 8192}, {"ico-", secretToken, inAlnum, 32, 32},
	{"lin_oauth_", secretToken, inHex, 64, 64}, {"lsv2_pt_", secretToken, inWord, 43, 43}, {"lsv2_sk_", secretToken, inWord, 43, 43}, {"mdb_sa_sk_", secretToken, inURL, 40, 40},
	{"mlsn.", secretToken, inHex, 64, 64}, {"napi_", secretToken, inAlnum, 60, 68}, {"nfp_", secretToken, inAlnum, 36, 36}, {"ops_eyJ", secretToken, inEither, 200, 4096},
	{"pat", secretToken, inDotted, 79, 79}, {"pat.", secretToken, inDotted, 68, 68}, {"sat.", secretToken, inDotted, 68, 68}, {"pcsk_", secretToken, inWord, 60, 80},
	{"phx_", secretToken, inAlnum, 43, 50}, {"pnu_", secretToken, inAlnum, 36, 36}, {"pplx-", secretToken, inAlnum, 48, 56}, {"p8e-", secretToken, inAlnum, 32, 32},
	{"rdme_", secretToken, inAlnum, 70, 70}, {"rnd_", secretToken, inAlnum, 32, 32}, {"sb_secret_", secretToken, inURL, 31, 48}, {"sdk-", secretToken, inURL, 36, 36},
	{"sgp_", secretToken, inWord, 40, 64}, {"sha256~", secretToken, inURL, 43, 43}, {"shippo_test_", secretToken, inHex, 40, 40}, {"shptka_", secretToken, inHex, 32, 32},
	{"sk-lf-", secretToken, inURL, 36, 36}, {"sk.eyJ", secretToken, inDotted, 60, 160}, {"sk_", secretToken, inHex, 48, 48}, {"sl.", secretToken, inDotted, 130, 2048},
	{"slk_", secretToken, inHex, 64, 64}, {"snyk_uat.", secretToken, inDotted, 60, 160}, {"sqa_", secretToken, inHex, 40, 40}, {"sqp_", secretToken, inHex, 40, 40},
	{"squ_", secretToken, inHex, 40, 40}, {"tfp_", secretToken, inDotted, 59, 64}, {"tgp_v1_", secretToken, inURL, 43, 43}, {"tk-us-", secretToken, inURL, 48, 48},
	{"tvly-", secretToken, inURL, 28, 64}, {"v1.0-", secretToken, inURL, 171, 171}, {"vercel_blob_rw_", secretToken, inWord, 40, 64}, {"xkeysib-", secretToken, inURL, 81, 81},
	{"xsmtpsib-", secretToken, inURL, 81, 81},
}

// prefixesBy is prefixes by their first byte.
var prefixesBy = func() (m [256][]prefix) {
	for _, p := range prefixes {
		m[p.text[0]] = append(m[p.text[0]], p)
	}
	m['e'] = append(m['e'], prefix{"eyJ", secretJWT, 0, 0, 0})
	return m
}()

// prefixesAt are prefixes by what they begin with, see beginning, and groupAt says for
// each beginning where among these they are. Most words have group 0, which is none.
var prefixesAt, groupAt = func() (groups [][]prefix, at [4096]uint8) {
	groups = [][]prefix{nil}
	add := func(p prefix, third byte) {
		h := beginning(p.text[0], p.text[1], third)
		if at[h] == 0 {
			at[h] = uint8(len(groups))
			groups = append(groups, nil)
		}
		groups[at[h]] = append(groups[at[h]], p)
	}
	for _, list := range prefixesBy {
		for _, p := range list {
			if len(p.text) > 2 {
				add(p, p.text[2])
				continue
			}
			for c := range 256 {
				if inAlphabet(p.alphabet, byte(c)) {
					add(p, byte(c))
				}
			}
		}
	}
	if len(groups) > 256 {
		panic("detect: more beginnings of prefixes than groupAt can tell")
	}
	return groups, at
}()

// beginning returns a number of 12 bits for the first three bytes of a word.
func beginning(a, b, c byte) uint { return (uint(a)*0x9e5 ^ uint(b)*0x1f3 ^ uint(c)*0x3d) & 4095 }

// prefixed looks for one of the prefixes at i, where a word begins, and returns
// where the secret ends, or 0.
func (s *scan) prefixed(list []prefix, i int) int {
	text := s.text[i:]
	for k := range list {
		p := &list[k]
		if len(text) <= len(p.text) || text[1] != p.text[1] || string(text[:len(p.text)]) != p.text {
			continue
		}
		if p.kind == secretJWT {
			return s.jwt(i)
		}
		n := len(p.text)
		known := s.runAlphabet == p.alphabet && s.runFrom <= i+n && i+n < s.runEnd // in a run that was too long before
		if known {
			n = min(s.runEnd-i, n+p.max+1)
		}
		for n < len(text) && n-len(p.text) <= p.max && inAlphabet(p.alphabet, text[n]) {
			n++
		}
		if n-len(p.text) > maxPassword {
			if !known {
				s.runAlphabet, s.runFrom = p.alphabet, i+len(p.text)
			}
			s.runEnd = i + n
		}
		if n-len(p.text) > p.max && n < len(text) && inAlphabet(p.alphabet, text[n]) {
			continue
		}
		body := n - len(p.text)
		for body > 0 && (text[n-1] == '.' || text[n-1] == '-' && p.min != p.max) { // the end of a sentence
			n--
			body--
		}
		if body < p.min || body > p.max || few(text[len(p.text):n]) || !s.plausible(p, text[len(p.text):n]) {
			continue
		}
		if s.add(p.kind, i, i+n, 98, 0) {
			return i + n
		}
	}
	return 0
}

// few reports whether b has so few different characters that it stands for a
// secret: xxxxxxxx.
func few(b []byte) bool {
	var seen [4]uint64
	n := 0
	for _, c := range b {
		if seen[c>>6]>>(c&63)&1 == 0 {
			seen[c>>6] |= 1 << (c & 63)
			if n++; n == 5 {
				return false
			}
		}
	}
	return true
}

// plausible looks closer at secrets whose prefix others have too.
func (s *scan) plausible(p *prefix, body []byte) bool {
	switch p.text {
	case "LS0tLS1CRUdJTi": // "-----BEGIN " in base64: a certificate is no secret
		return bytes.Contains(body[:min(len(body), 64)], []byte("UFJJVkFURS")) || bytes.Contains(body[:min(len(body), 64)], []byte("BSSVZBVE")) ||
			bytes.Contains(body[:min(len(body), 64)], []byte("QUklWQVRF"))
	case "SG.":
		dot := bytes.IndexByte(body, '.')
		return dot >= 16 && dot <= 32
	case "sk-", "key-", "secret_", "dapi", "oy2", "fo1_", "ntn_", "API-", "AQVN", "LTAI", "AKID", "ico-", "csk-", "tvly-", "rnd_", "aio_":
		return bytes.ContainsAny(body, "0123456789")
	case "pat":
		return body[14] == '.' && bytes.LastIndexByte(body, '.') == 14
	case "pat.", "sat.":
		return body[22] == '.' && body[47] == '.'
	case "A3-":
		return body[6] == '-' && kindsOf(body)&lower == 0
	case "sdk-":
		return isUUIDLike(body)
	}
	return true
}

// telegram looks for the token of a bot, a number, a colon and 35 characters, whose
// number is text[i:j]. It returns where that ends, or 0.
func (s *scan) telegram(i, j int) int {
	end := j + 1
	for end < len(s.text) && inAlphabet(inURL, s.text[end]) && end-j <= 36 {
		end++
	}
	if end-j != 36 || s.text[j+1] != 'A' || few(s.text[j+1:end]) || !s.add(secretToken, i, end, 98, 0) {
		return 0
	}
	return end
}
