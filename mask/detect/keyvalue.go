package detect

import (
	"bytes"
	"encoding/base64"
	"maps"
	"math"
)

// maxPassword bounds what is looked at of the value behind a key. A longer one is
// found whole, up to maxToken.
const maxPassword = 256

// maxColumn is how much space there may be before a value.
const maxColumn = 48

// The keys whose value is a secret whatever it looks like, and those whose value
// has to look like one.
var (
	passwordKeys = set(`password passwd pwd passphrase pass secret clientsecret userpassword dbpassword dbpass mysqlpwd pgpassword
		secretkey appsecret apisecret sharedsecret signingsecret webhooksecret rootpassword adminpassword passcode pw passwort kennwort
		contraseña contrasena motdepasse passe senha wachtwoord lösenord adgangskode passord salasana hasło heslo parola şifre
		пароль 密码 密碼 パスワード 비밀번호`)
	tokenKeys = set(`token apikey accesskey secretaccesskey authtoken accesstoken refreshtoken bearertoken apitoken credential
		credentials sessiontoken idtoken privatekey encryptionkey accountkey sharedaccesskey authorization hmac masterkey servicekey
		deploytoken bottoken keydata xapikey subscriptionkey licensekey consumersecret jwt key auth signature sig session sessionid
		cookie`)
	// Keys that say less: others have them too.
	weakKeys = set(`key auth signature sig session sessionid cookie token`)
	// Keys that end like the others and hold no secret.
	publicKeys = set(`publickey primarykey foreignkey partitionkey sortkey cachekey idempotencykey objectkey issuekey routingkey
		hashkey rangekey shardkey hotkey sitekey rowkey groupkey projectkey bypass compass trespass
		nexttoken pagetoken synctoken continuationtoken nextcontinuationtoken`)
)

// keyShapes are of all of these.
var keyShapes = func() *shapes {
	all := map[string]bool{}
	for _, m := range []map[string]bool{passwordKeys, tokenKeys, weakKeys, publicKeys} {
		maps.Copy(all, m)
	}
	return shapesOf(all)
}()

// keyBefore returns the key that ends before i, in small letters and without
// what joins its words, written into b, and where it begins.
func (s *scan) keyBefore(i int, b *[32]byte) (key []byte, start int) {
	text := s.text
	end := i
	if end > 0 && text[end-1] == ' ' {
		end--
	}
	if end > 0 && (text[end-1] == '"' || text[end-1] == '\'' || text[end-1] == '`') {
		end--
		if end > 0 && text[end-1] == '\\' {
			end--
		}
	}
	start = end
	n := len(b)
	for start > 0 && end-start < 48 {
		c := text[start-1]
		switch {
		case isAlnum(c) || class[c] == high:
			if class[c] == upper {
				c += 'a' - 'A'
			}
			if n > 0 {
				n--
				b[n] = c
			}
		case c == '_' || c == '-':
		default:
			return b[n:], start
		}
		start--
	}
	return b[n:], start
}

// What a key says of its value.
const (
	noSecret = iota
	weak     // a secret if it looks very much like one
	token    // a secret if it looks like one
	password // a secret whatever it looks like
)

func sensitive(key []byte) int {
	if len(key) < 2 {
		return noSecret
	}
	if keyShapes.has(key) {
		switch {
		case publicKeys[string(key)]:
			return noSecret
		case weakKeys[string(key)]:
			return weak
		}
	}
	level := noSecret
	for n := min(len(key), 15); n >= 2; n-- { // MYSQL_ROOT_PASSWORD
		if n < 4 && n < len(key) && level == noSecret && n != 3 {
			break
		}
		tail := key[len(key)-n:]
		if !keyShapes.has(tail) {
			continue
		}
		if passwordKeys[string(tail)] && (n >= 4 || n == len(key)) {
			return password
		}
		if tokenKeys[string(tail)] {
			level = token
		}
		if publicKeys[string(tail)] {
			return noSecret
		}
	}
	return level
}

// keyValue looks at "password=..." and "token: ..." around the sign at i, and
// returns where to go on.
func (s *scan) keyValue(i int) int {
	if !s.d.on[secretPassword] && !s.d.on[secretAWS] || i == 0 {
		return i + 1
	}
	text := s.text
	switch c := text[i-1]; {
	case isAlnum(c), c == ' ', c == '"', c == '\'', c == '_', c == '`', class[c] == high:
	default:
		return i + 1
	}
	var b [32]byte
	key, start := s.keyBefore(i, &b)
	if text[i] == '=' && (string(key) == "name" || string(key) == "key") {
		if next := s.property(i); next > i+1 {
			return next
		}
	}
	level := sensitive(key)
	if level == noSecret {
		switch {
		case string(key) == "value":
			level = s.named(start)
		case text[i] == ':' && s.at(start-1) == ' ':
			return s.userAndPassword(i, start)
		}
		if level == noSecret {
			return i + 1
		}
	}
	at, sign := i+1, text[i]
	switch s.at(at) {
	case '=':
		if sign == '=' { // a comparison
			return i + 2
		}
		sign = '='
		at++
	case '>':
		at++
	}
	spaced := false
	for n := 0; n < maxColumn && (s.at(at) == ' ' || s.at(at) == '\t'); n++ { // values may stand in a column
		spaced = true
		at++
	}
	if bytes.HasSuffix(key, []byte("authorization")) {
		if next := s.authorization(at, level); next > 0 {
			return next
		}
	}
	return s.value(at, i+1, level, sign == '=' && !spaced)
}

// authorization looks at "Token ..." at i, the value of a header: credentials behind
// the name of a scheme that scheme does not know. It returns where they end, or 0.
func (s *scan) authorization(i, level int) int {
	if s.at(i) == '\\' {
		i++
	}
	if s.at(i) == '"' {
		i++
	}
	end := i
	for end-i < 16 && isLetter(s.at(end)) {
		end++
	}
	switch {
	case end == i, s.at(end) != ' ', bytes.EqualFold(s.text[i:end], []byte("bearer")), bytes.EqualFold(s.text[i:end], []byte("basic")):
		return 0
	}
	if next := s.value(end+1, end, level, true); next > end {
		return next
	}
	return 0
}

// flag looks at "--password ..." whose name begins at i, and returns where to go
// on.
func (s *scan) flag(i int) int {
	end := i
	for end < len(s.text) && (isAlnum(s.text[end]) || s.text[end] == '-') && end-i < 32 {
		end++
	}
	if s.at(end) != ' ' || !s.d.on[secretPassword] {
		return i
	}
	var b [32]byte
	key, _ := s.keyBefore(end, &b)
	if level := sensitive(key); level != noSecret && s.at(end+1) != '-' {
		return s.value(end+1, i, level, true)
	}
	return i
}

// value looks at the value at i. tight says that it follows its sign at once,
// as where programs read it. It returns where to go on: next, if it is nothing.
func (s *scan) value(i, next, level int, tight bool) int {
	text := s.text
	quote := s.at(i)
	start := i
	escaped := false
	if quote == '\\' && (s.at(i+1) == '"' || s.at(i+1) == '\'') {
		escaped = true
		quote = text[i+1]
		start++
	}
	end := start
	if quote == '"' || quote == '\'' || quote == '`' {
		start++
		end = start
		for end < len(text) && text[end] != '\n' && end-start < maxPassword {
			switch {
			case text[end] == '\\' && !escaped && end+1 < len(text):
				end++
			case text[end] == quote && quote == '\'' && end > start && s.at(end+1) == quote: // of SQL
				end++
			case text[end] == quote:
				goto closed
			}
			end++
		}
	closed:
		end = min(end, len(text))
		if escaped && end > start && text[end-1] == '\\' {
			end--
		}
	} else {
		quote = 0
		for end < len(text) && end-start < maxPassword && (!ends(text[end]) || level == password && text[end] == '&' && !s.parameter(end+1)) {
			end++
		}
		for end > start && (text[end-1] == '.' || text[end-1] == ':' || text[end-1] == '!' && !tight && kindsOf(text[start:end])&digit == 0 || text[end-1] == '?') { // of a sentence
			end--
		}
	}
	v := text[start:end]
	if len(v) < 4 || placeholder(v, quote != 0) {
		return next
	}
	if level == password && !tight && quote == 0 && !s.passwordLike(v, end) {
		return next // "Password: must be ..." is a sentence
	}
	if s.awsSecret(v, start, end) {
		return end
	}
	if level != password && !secretLike(v, level == weak, tight || quote != 0) {
		return next
	}
	if k := bytes.IndexByte(v, '='); level == weak && k > 0 && k < len(v)-2 {
		return next // "Cookie: session=...": the key is in there
	}
	before := len(s.out)
	// A token whose form is known has its own kind.
	if p := prefixesBy[v[0]]; p != nil {
		if e := s.prefixed(p, start); e >= end {
			return e
		}
	}
	s.out = s.out[:before]
	if len(v) >= maxPassword { // no part of it is shown
		for end < len(text) && end-start < maxToken && text[end] != '\n' && (quote != 0 && text[end] != quote || quote == 0 && !ends(text[end])) {
			end++
		}
	}
	if !s.add(secretPassword, start, end, 90, 0) {
		return next
	}
	return end
}

// isSecret reports whether v, which has a name of that level and stands as a whole, is a
// secret: no example's, and more than a word unless the name says that it is a password.
func isSecret(v []byte, level int) bool {
	return !placeholder(v, true) && (level == password || secretLike(v, level == weak, true))
}

// called looks at all of the text, the value of a field that is called a secret.
func (s *scan) called() {
	v := bytes.TrimSpace(s.text)
	level := int(s.field.secret)
	if !s.d.on[secretPassword] || len(v) < 4 || !isSecret(v, level) {
		return
	}
	start := bytes.IndexByte(s.text, v[0])
	s.add(secretPassword, start, start+len(v), 90, 0)
}

// parameter reports whether "name=" stands at i, as behind an & of a URL.
func (s *scan) parameter(i int) bool {
	for n := 0; n < 32 && (isAlnum(s.at(i)) || s.at(i) == '_' || s.at(i) == '-' || s.at(i) == '.'); n++ {
		i++
	}
	return s.at(i) == '='
}

// passwordLike reports whether v, which ends at end, is more likely a password
// than a word of a sentence.
func (s *scan) passwordLike(v []byte, end int) bool {
	if kindsOf(v)&(digit|mark|high) != 0 || mixedCase(v[1:]) {
		return true
	}
	switch s.at(end) { // alone in its line
	case 0, '\n', '\r', ';', '|', '}':
		return true
	}
	return false
}

// secretLike reports whether v looks as if it was made by chance.
func secretLike(v []byte, weak, tight bool) bool {
	least, bits := 16, 3.0
	if weak {
		least, bits = 20, 3.3
	}
	has := kindsOf(v)
	if len(v) < least || has&digit == 0 || has&alpha == 0 || has&high != 0 || entropy(v) < bits || isUUIDLike(v) && (weak || !tight) {
		return false
	}
	slash, others, names, letters := false, false, 0, 0
	for i, c := range v {
		switch {
		case isLetter(c):
			letters++
			continue
		case isDigit(c), c == '+', c == '=', c == '~', c == '%' && escaped(v[i:]):
			letters = -len(v) // no name
			continue
		case c == '/':
			slash = true
		case c == '-', c == '_', c == '.':
			others = true
		default:
			return false
		}
		if letters > 2 {
			names++
		}
		letters = 0
	}
	if letters > 2 {
		names++
	}
	return !(slash && others) && names < 2 // a path, or words
}

// escaped reports whether v begins with a sign of base64 as it is in a URL: %2B, %2F
// or %3D.
func escaped(v []byte) bool {
	if len(v) < 3 {
		return false
	}
	switch string([]byte{v[1], v[2] &^ 0x20}) {
	case "2B", "2F", "3D":
		return true
	}
	return false
}

func ends(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ';', '&', '"', '\'', '<', '>', ')', ']', '}', '|', '`':
		return true
	}
	return false
}

// kindsOf returns the classes of the bytes in v; mark stands for everything
// that is no letter and no digit.
func kindsOf(v []byte) (has uint8) {
	for _, c := range v {
		if k := class[c] &^ mark; k != 0 {
			has |= k
		} else {
			has |= mark
		}
	}
	return has
}

func mixedCase(v []byte) bool {
	has := kindsOf(v)
	return has&upper != 0 && has&lower != 0
}

// placeholder reports whether v stands for a value that is elsewhere, or hidden
// already.
func placeholder(v []byte, quoted bool) bool {
	if len(v) > 1 && (v[0] == '$' && (v[1] == '{' || v[1] == '(' || isName(v[1:])) || v[0] == '{' && v[1] == '{' || v[0] == '<' || v[0] == '[' ||
		v[0] == '%' && (v[1] == '(' || v[1] == 's' && len(v) == 2 || v[len(v)-1] == '%')) {
		return true
	}
	same := true
	for _, c := range v {
		same = same && c == v[0]
	}
	if same || bytes.HasPrefix(v, []byte("***")) || bytes.HasPrefix(v, []byte("•••")) || bytes.HasPrefix(v, []byte("xxxx")) || bytes.HasPrefix(v, []byte("...")) {
		return true
	}
	var b [16]byte
	if len(v) <= len(b) {
		if words[string(bytes.ToLower(v))] {
			return true
		}
	}
	if quoted {
		return false
	}
	// A name in a program: os.Getenv(, self.password, settings.DB_PASSWORD.
	name, dots := true, 0
	for i, c := range v {
		if c == '(' {
			return name && i > 0
		}
		if c == '.' {
			dots++
		} else if !isLetter(c) && c != '_' {
			name = false
		}
	}
	return name && dots > 0
}

func isName(v []byte) bool {
	for _, c := range v {
		if class[c]&(upper|digit) == 0 && c != '_' {
			return false
		}
	}
	return true
}

var words = set(`protected mandatory updated field input never please again here below above encrypted hashed stored
	accepted rejected denied policy null none nil true false undefined string str text required optional redacted [redacted] hidden masked empty unset
	password secret token invalid incorrect expired missing must should cannot changed reset wrong failed length type number int bool
	value given blank default unknown disabled enabled`)

// entropy is Shannon's, in bits for each character.
func entropy(v []byte) float64 {
	var count [256]uint16
	for _, c := range v {
		count[c]++
	}
	h := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(v))
			h -= p * math.Log2(p)
		}
	}
	return h
}

func isUUIDLike(v []byte) bool {
	return len(v) == 36 && v[8] == '-' && v[13] == '-' && v[18] == '-' && v[23] == '-'
}

// awsSecret looks at the 40 characters of a secret access key.
func (s *scan) awsSecret(v []byte, start, end int) bool {
	if len(v) != 40 || !s.d.on[secretAWS] {
		return false
	}
	hex := true
	for _, c := range v {
		if !isAlnum(c) && c != '+' && c != '/' {
			return false
		}
		hex = hex && isHex(c)
	}
	return !hex && s.near(start, end).words&aboutAWS != 0 && s.add(secretAWS, start, end, 95, 0)
}

// scheme looks at the word text[i:j] for "Bearer" and "Basic" with credentials
// behind it, and returns where to go on.
func (s *scan) scheme(i, j int) int {
	bearer := bytes.EqualFold(s.text[i:j], []byte("bearer"))
	if !s.d.on[secretAuthorization] || !bearer && !bytes.EqualFold(s.text[i:j], []byte("basic")) {
		return j
	}
	start := j + 1
	end := start
	for end < len(s.text) && end-start < maxToken && (inAlphabet(inDotted, s.text[end]) || inAlphabet(inBase64, s.text[end]) || s.text[end] == '~') {
		end++
	}
	for end > start && s.text[end-1] == '.' {
		end--
	}
	v := s.text[start:end]
	switch {
	case len(v) < 8:
		return j
	case bearer:
		if has := kindsOf(v); len(v) < 16 || has&digit == 0 || has&alpha == 0 || few(v) {
			return j
		}
	case !basic(v):
		return j
	}
	if p := prefixesBy[v[0]]; p != nil && s.prefixed(p, start) == end {
		return end
	}
	if !s.add(secretAuthorization, start, end, 92, 0) {
		return j
	}
	return end
}

// basic reports whether v is a name, a colon and a password in base64.
func basic(v []byte) bool {
	var b [512]byte
	if len(v) > len(b) {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], v)
	if err != nil || bytes.IndexByte(b[:n], ':') < 1 {
		return false
	}
	for _, c := range b[:n] {
		if c < ' ' {
			return false
		}
	}
	return true
}
