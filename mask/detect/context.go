package detect

import "strings"

// A Field is what a column or a member is called, in the detector's terms.
type Field struct {
	words, custom uint64
	last          uint64 // of words, those of the last part of the name
	secret        uint8  // what it says of a secret: weak, token, password
}

// The groups of words that say what a number is. A kind may listen to several.
const (
	aboutPhone uint64 = 1 << iota
	aboutBirth
	aboutCard
	aboutBIC
	aboutABA
	aboutPassport
	aboutLicense
	aboutSSN
	aboutITIN
	aboutEIN
	aboutNPI
	aboutMBI
	aboutNHS
	aboutNINO
	aboutDETax
	aboutNIR
	aboutNIF
	aboutCF
	aboutPESEL
	aboutBSN
	aboutSE
	aboutFI
	aboutDK
	aboutNO
	aboutCPF
	aboutCNPJ
	aboutAadhaar
	aboutPAN
	aboutTFN
	aboutABN
	aboutMedicare
	aboutSIN
	aboutNRIC
	aboutRRN
	aboutTH
	aboutTR
	aboutZA
	aboutCN
	aboutVIN
	aboutIMEI
	aboutBTC
	aboutETH
	aboutAWS
	aboutKey
	aboutPassword
	aboutVersion
	aboutNational // a person's number, of no country
	aboutTax      // likewise, of the tax office
	other         // that it is something else than a person's number
	begins        // another word has to follow
)

// general are the groups that say less than the others.
const general = aboutNational | aboutTax

// contextWords lists words of each group; two words stand for one behind the
// other.
var contextWords = map[uint64]string{
	aboutPhone: `phone,phones,telephone,tel,mobile,cell,cellphone,call,fax,sms,whatsapp,dial,msisdn,handy,telefon,
		mobil,telefono,teléfono,telefone,celular,móvil,movil,téléphone,cellulare,telefoon,puhelin,hotline,contact`,
	aboutBirth: `dob,o b,birth,born,birthday,birthdate,birthdays,bday,geburtsdatum,geboren,geburtstag,geb,naissance,né,née,nacido,nacida,nacimiento,
		nascita,nascimento,geboortedatum,urodzenia,syntymäaika,födelsedatum,fødselsdato`,
	aboutCard:     `card,cards,credit,debit,visa,mastercard,amex,pan,cc,ccnum,creditcard,kreditkarte,karte,carte,tarjeta,maestro,discover`,
	aboutBIC:      `bic,swift,bank code`,
	aboutABA:      `aba,routing,rtn,transit`,
	aboutPassport: `passport,passports,reisepass,passeport,pasaporte,passaporto,paspoort,passnummer,paszport,passaporte`,
	aboutLicense: `driver license,drivers license,driver licence,drivers licence,s license,s licence,driving licence,driving license,
		driverlicense,driverslicense,dl,dln,führerschein,fuehrerschein,permis,patente,licencia conducir,rijbewijs,körkort`,
	aboutSSN:      `ssn,ssns,social security,social,socialsecurity,socsec`,
	aboutITIN:     `itin,individual taxpayer,taxpayer`,
	aboutEIN:      `ein,fein,employer,federal tax`,
	aboutNPI:      `npi,provider`,
	aboutMBI:      `mbi,medicare,beneficiary`,
	aboutNHS:      `nhs`,
	aboutNINO:     `nino,national insurance,nin,ni`,
	aboutDETax:    `steuer,steueridentifikationsnummer,steuernummer,idnr,id nr,steuerid,tin,identifikationsnummer,stid`,
	aboutNIR:      `nir,insee,sécurité,securite,sécu,secu,sociale`,
	aboutNIF:      `nif,nie,dni,cif`,
	aboutCF:       `codice,fiscale,cf`,
	aboutPESEL:    `pesel`,
	aboutBSN:      `bsn,burgerservicenummer,sofinummer,sofi`,
	aboutSE:       `personnummer,personnr,samordningsnummer,pnr`,
	aboutFI:       `hetu,henkilötunnus,henkilotunnus,sotu`,
	aboutDK:       `cpr,personnummer,cprnr`,
	aboutNO:       `fødselsnummer,fodselsnummer,fnr,personnummer`,
	aboutCPF:      `cpf`,
	aboutCNPJ:     `cnpj`,
	aboutAadhaar:  `aadhaar,aadhar,uidai,uid`,
	aboutPAN:      `permanent account`,
	aboutTFN:      `tfn,tax file`,
	aboutABN:      `abn,australian business,business number`,
	aboutMedicare: `medicare`,
	aboutSIN:      `sin,social insurance,nas,assurance sociale`,
	aboutNRIC:     `nric,fin`,
	aboutRRN:      `rrn,resident registration,jumin,주민등록번호`,
	aboutTH:       `thai,thailand`,
	aboutTR:       `tckn,tc kimlik,kimlik,turkish`,
	aboutZA:       `south african,south africa`,
	aboutCN:       `resident identity,shenfenzheng,身份证,身份证号,身份证号码`,
	aboutVIN:      `vin,chassis,vehicle`,
	aboutIMEI:     `imei,device,handset,imeisv`,
	aboutBTC:      `btc,bitcoin`,
	aboutETH:      `eth,ethereum,wallet,ether,erc,metamask`,
	aboutAWS:      `aws,amazon`,
	aboutKey:      `secret,secrets,key,token,apikey,credential,credentials`,
	aboutPassword: `password,passwd,pwd`,
	aboutVersion:  `version,ver,v,build,release,firmware,driver,agent,chrome,assembly,revision`,
	other: `order,orders,invoice,tracking,shipment,sku,part,serial,timestamp,epoch,ts,build,version,commit,hash,checksum,sha,uuid,
		guid,isbn,issn,ean,gtin,upc,barcode,batch,lot,model,ticket,case,po,offset,bytes,size,port,pid,revision,rev,item,product,
		asin,parcel,awb,waybill,request,trace,span,job,seq,sequence,nonce,snowflake,tweet,millis,ms,ns,unix,rfc`,
	aboutNational:            `national id,identity number,national identification,citizen,citizenship,id number,identification number,identity card,id card`,
	aboutTax:                 `tax,taxid,taxes`,
	aboutPassword | aboutKey: `passphrase`,
}

var builtinWords = func() map[string]Field {
	m := map[string]Field{}
	for group, words := range contextWords {
		for w := range strings.FieldsFuncSeq(words, func(r rune) bool { return r == ',' || r == '\n' || r == '\t' }) {
			f := m[w]
			f.words |= group
			m[w] = f
			if first, _, pair := strings.Cut(w, " "); pair {
				f = m[first]
				f.words |= begins
				m[first] = f
			}
		}
	}
	return m
}()

var builtinShapes = shapesOf(builtinWords)

// shapes tells most words that are not in a map without looking them up: by the first
// byte, a bit for how long those are that begin with it, and for their last byte.
type shapes [256]uint64

func shapesOf[V any](m map[string]V) *shapes {
	s := &shapes{}
	for w := range m {
		s[w[0]] |= 1 << shape(w)
	}
	return s
}

func shape[T string | []byte](w T) uint { return (uint(len(w))*11 ^ uint(w[len(w)-1])) & 63 }

// has reports whether w, which is not empty, may be in the map.
func (s *shapes) has(w []byte) bool { return s[w[0]]>>shape(w)&1 != 0 }

// maxNear is how far from a value words count, before it and behind.
const (
	maxNear   = 64
	maxBehind = 24
)

// maxName bounds what of a name is looked at.
const maxName = 4 << 10

// Field returns what a column's or member's name, such as "customer.phoneNo",
// says about its values. Of a field that is called a secret ("db_password",
// "apiKey") all of the value is one, as behind such a name in a text. That a value is
// something else, such as a version, only the last part says: the others may be what
// somebody else calls it.
func (d *Detector) Field(name string) Field {
	name = name[max(0, len(name)-maxName):]
	f := d.wordsIn([]byte(name))
	f.words &^= other // an "order_ssn" is one
	f.last = f.words
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		f.last = d.wordsIn([]byte(name[dot+1:])).words
	}
	for part := range strings.SplitSeq(name, ".") {
		var b [32]byte
		p := []byte(part)
		s := scan{d: d, text: p}
		if key, _ := s.keyBefore(len(p), &b); string(key) != "key" { // which others have too
			f.secret = max(f.secret, uint8(sensitive(key)))
		}
	}
	return f
}

// near returns the words around text[start:end], the field's name included.
func (s *scan) near(start, end int) Field {
	if s.nearAt == start && s.nearEnd == end {
		return s.nearWords
	}
	text := s.text
	if s.short() && s.all.words|s.all.custom == 0 { // nobody says anything
		return s.field
	}
	before := s.before(start)
	to := min(len(text), end+maxBehind)
	for i := end; i < to; i++ {
		switch c := text[i]; {
		case stops(text, i), c == ',':
			to = i
		case c == ':', c == '=': // these are the next value's words
			to = end
		}
	}
	behind := s.d.wordsIn(text[end:to])
	s.nearAt, s.nearEnd = start, end
	s.nearWords = Field{
		words:  s.field.words | before.words | behind.words&^other,
		custom: s.field.custom | before.custom | behind.custom,
	}
	return s.nearWords
}

// against reports whether one of the words around text[start:end] says that it is no
// value of the kind that it looks like.
func (s *scan) against(start, end int, words uint64) bool {
	return s.near(start, end).words&^(s.field.words&^s.field.last)&words != 0
}

// short reports whether the text is so short that its words are all known, in all.
func (s *scan) short() bool {
	if len(s.text) > 8*maxNear {
		return false
	}
	if !s.lookedAll {
		s.lookedAll, s.all = true, s.d.wordsIn(s.text)
	}
	return true
}

// said reports whether the words may be near some value.
func (s *scan) said(words uint64) bool {
	return s.field.words&words != 0 || !s.short() || s.all.words&words != 0
}

// before returns the words before start.
func (s *scan) before(start int) Field {
	if s.beforeAt == start {
		return s.beforeWords
	}
	text := s.text
	from := max(0, start-maxNear)
	for i := start - 1; i >= from; i-- { // another member's words are not this one's
		if stops(text, i) {
			from = i + 1
			break
		}
	}
	if from > 0 && !stops(text, from-1) {
		for from < start && isWord(text[from]) { // part of a word
			from++
		}
	}
	f := s.d.wordsIn(text[from:start])
	if f.words&other != 0 && s.d.wordsIn(lastWords(text[from:start])).words&other == 0 {
		f.words &^= other
	}
	s.beforeAt, s.beforeWords = start, f
	return f
}

// stops reports whether the byte at i separates members of a record.
func stops(text []byte, i int) bool {
	switch text[i] {
	case '\n', ';', '{', '}', '|', '&', '\t':
		return true
	case ',':
		return i+1 < len(text) && (text[i+1] == '"' || text[i+1] == ' ' && i+2 < len(text) && text[i+2] == '"')
	}
	return false
}

func isWord(c byte) bool { return class[c]&(alpha|high) != 0 }

// lastWords returns the end of b with its last two words, of which a number is
// one.
func lastWords(b []byte) []byte {
	words, in := 0, false
	for i := len(b) - 1; i >= 0; i-- {
		w := isWord(b[i]) || isDigit(b[i])
		if w && !in {
			if words++; words > 2 {
				return b[i+1:]
			}
		}
		in = w
	}
	return b
}

// punctuation returns how wide the character is that b begins with, if it is one of the
// spaces, dashes, quotes and signs beyond ASCII that stand between words, and else 0.
func punctuation(b []byte) int {
	switch {
	case len(b) > 1 && b[0] == 0xc2:
		if c := b[1]; c != 0xaa && c != 0xb5 && c != 0xba { // ª, µ, º
			return 2
		}
	case len(b) < 3:
	case b[0] == 0xe2 && b[1] == 0x80, b[0] == 0xe3 && b[1] == 0x80,
		b[0] == 0xef && b[1] == 0xbc && (b[2] <= 0x8f || b[2] >= 0x9a && b[2] <= 0xa0): // also full-width
		return 3
	}
	return 0
}

// wordsIn returns what the words in b say, each alone and with the one before
// it. A capital letter behind a small one begins a word.
func (d *Detector) wordsIn(b []byte) (f Field) {
	const longest = 40
	var buf [2*longest + 1]byte // the last word, a space, this word
	last := 0
	for i := 0; i < len(b); {
		if !isWord(b[i]) {
			i++
			continue
		}
		if class[b[i]] == high {
			if width := punctuation(b[i:]); width > 0 {
				i += width
				continue
			}
		}
		n := last
		if n > 0 {
			buf[n] = ' '
			n++
		}
		start := n
		for j := i; i < len(b) && isWord(b[i]); i++ {
			c := b[i]
			if class[c] == high && punctuation(b[i:]) > 0 {
				break
			}
			if class[c] == upper {
				if i > j && class[b[i-1]] == lower {
					break
				}
				c += 'a' - 'A'
			}
			if n < start+longest {
				buf[n] = c
			}
			n++
		}
		if n > start+longest { // no word that anybody listens to
			last = 0
			continue
		}
		var w Field
		if d.shapes.has(buf[start:n]) {
			w = d.words[string(buf[start:n])]
			f.words |= w.words
			f.custom |= w.custom
		}
		if start > 0 && d.shapes.has(buf[:n]) {
			w := d.words[string(buf[:n])]
			f.words |= w.words
			f.custom |= w.custom
		}
		if last = 0; w.words&begins != 0 {
			last = copy(buf[:], buf[start:n])
		}
	}
	f.words &^= begins
	return f
}
