package detect

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// email looks for an address around the at sign at i, which is width bytes wide
// (one, three as %40, or what JSON and HTML have for it).
func (s *scan) email(i, width int) {
	text := s.text
	start := i
	for start > 0 && i-start < 64 {
		c := text[start-1]
		if class[c]&alnum != 0 || c == '.' || c == '_' || c == '-' || c == '+' || c == '%' || c == '\'' || c == '&' || c == '#' || c == '!' || c == '~' || c == '*' {
			start--
			continue
		}
		if class[c] != high {
			break
		}
		r, size := utf8.DecodeLastRune(text[:start])
		if !unicode.IsLetter(r) || unicode.Is(unicode.Han, r) || unicode.Is(unicode.Hiragana, r) || unicode.Is(unicode.Katakana, r) {
			break
		}
		start -= size
	}
	if start > 0 && text[start-1] == '\\' && start < i { // an escape in front: \n, \u003c
		switch {
		case text[start] == 'u' && i-start > 5:
			start += 5
		case bytes.IndexByte([]byte("ntrfb"), text[start]) >= 0:
			start++
		}
	}
	for start < i && class[text[start]]&(alnum|high) == 0 && text[start] != '_' {
		start++
	}
	if start == i || text[i-1] == '\'' {
		return
	}
	if s.at(start-1) == '=' && domainName(text[start:i]) { // bounces+ada=example.com@x.org
		for k, plus := start-1, false; k > 0 && i-k < 64; k-- {
			c := text[k-1]
			plus = plus || c == '+'
			if class[c]&alnum == 0 && c != '.' && c != '_' && c != '-' && c != '+' && c != '=' {
				break
			}
			if plus && class[c]&alnum != 0 {
				start = k - 1
			}
		}
	}
	switch s.at(start - 1) {
	case '/':
		if s.at(start-2) != '/' { // a path: https://medium.com/x@y.com is none of a person's either
			break
		}
		return // who logs in, in a URL
	case ':':
		if s.userinfo(start) {
			return
		}
	case '=', '"', '@':
		if s.at(start-1) == '@' {
			return
		}
	}
	end := i + width
	for end < len(text) && end-i < 255 {
		c := text[end]
		if class[c]&alnum != 0 || c == '.' || c == '-' {
			end++
			continue
		}
		if class[c] != high {
			break
		}
		r, size := utf8.DecodeRune(text[end:])
		if !unicode.IsLetter(r) || unicode.Is(unicode.Hiragana, r) {
			break
		}
		end += size
	}
	for end > i+width && (text[end-1] == '.' || text[end-1] == '-') {
		end--
	}
	domain := text[i+width : end]
	if s.at(end) == '(' && width == 1 && (string(domain) == "tcp" || string(domain) == "unix") {
		s.driverDSN(i)
		return
	}
	if !domainName(domain) {
		return
	}
	if s.at(end) == ':' && (s.at(end+1) == '/' || s.at(end+1) == '~' || scpPath(text[end+1:])) {
		return // where ssh and git copy to
	}
	s.add(email, start, end, 95, 0)
}

// driverDSN looks at "user:password@tcp(host)" around the at sign at i.
func (s *scan) driverDSN(i int) {
	for k := i - 1; k > 0 && i-k < maxPassword; k-- {
		switch c := s.text[k]; {
		case c == ':' && k < i-1:
			s.add(secretURL, k+1, i, 92, 0)
			return
		case c <= ' ', c == '"', c == '\'':
			return
		}
	}
}

// userinfo reports whether text before start is the beginning of a URL with a
// user's name: "https://user:".
func (s *scan) userinfo(start int) bool {
	for k := start - 2; k > 0 && start-k < maxValue; k-- {
		switch c := s.text[k]; {
		case c == '/':
			return s.text[k-1] == '/'
		case c <= ' ', c == '"', c == '\'':
			return false
		}
	}
	return false
}

// scpPath reports whether b begins with a path below a directory: "org/repo".
func scpPath(b []byte) bool {
	for i, c := range b {
		if c == '/' {
			return i > 0
		}
		if !isAlnum(c) && c != '_' && c != '-' && c != '.' || i > 64 {
			return false
		}
	}
	return false
}

// domainName reports whether d is a host's name below a top-level domain.
func domainName(d []byte) bool {
	if len(d) < 4 || len(d) > 253 {
		return false
	}
	last := 0 // where the last label begins
	for i, c := range d {
		switch c {
		case '.':
			if i == last || i-last > 63 || d[i-1] == '-' {
				return false
			}
			last = i + 1
		case '-':
			if i == last {
				return false
			}
		}
	}
	tld := d[last:]
	if last == 0 || len(tld) < 2 || len(tld) > 63 {
		return false
	}
	if bytes.HasPrefix(tld, []byte("xn--")) {
		return true
	}
	for _, c := range tld {
		if class[c]&(alpha|high) == 0 {
			return false
		}
	}
	var b [12]byte
	if len(tld) > len(b) {
		return true
	}
	for i, c := range tld {
		if class[c] == upper {
			c += 'a' - 'A'
		}
		b[i] = c
	}
	if len(tld) == 2 && class[tld[0]] != high {
		return countries[string(b[:2])]
	}
	return !extensions[string(b[:len(tld)])]
}

// extensions are no top-level domains but follow an at sign all the same: files
// ("logo@2x.png"), units ("getty@tty1.service").
var extensions = set(`png jpg jpeg gif svg webp ico bmp tiff css scss less js mjs cjs jsx tsx json yaml yml xml html htm txt log csv tsv
	pdf doc docx xls xlsx ppt pptx tar gz tgz bz2 xz jar war class exe dll lib obj bin iso img dmg deb rpm apk whl egg lock toml
	ini cfg conf bak tmp service socket timer target mount device scope slice path swap automount patch diff sql db sqlite mp3 mp4
	avi mkv wav ttf woff woff2 eot java cpp hpp rb go kt swift php pyc vue svelte gradle mod sum`)

// countries are the two-letter top-level domains, which are ISO 3166's codes
// and a few more.
var countries = set(`ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz
	ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et eu fi fj fk fm fo fr ga gb gd ge gf
	gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky
	kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np
	nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx
	sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk um us uy uz va vc ve vg vi vn vu wf ws xk ye yt za zm zw`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range bytes.Fields([]byte(words)) {
		m[string(w)] = true
	}
	return m
}
