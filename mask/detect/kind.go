package detect

import (
	"slices"
	"strings"
)

// A Kind names what a detector finds: "email", "id.us.ssn", "secret.aws".
type Kind string

// id is a built-in kind in this package's tables.
type id uint8

const (
	email id = iota
	phone
	birthDate
	card
	iban
	bic
	aba
	passport
	driverLicense
	usSSN
	usITIN
	usEIN
	usNPI
	usMBI
	gbNHS
	gbNINO
	deTaxID
	frNIR
	esNIF
	itCF
	plPESEL
	nlBSN
	sePersonnummer
	fiHETU
	dkCPR
	noFNR
	brCPF
	brCNPJ
	inAadhaar
	inPAN
	auTFN
	auABN
	auMedicare
	caSIN
	sgNRIC
	krRRN
	thID
	trID
	zaID
	cnID
	vin
	imei
	ipAddress
	macAddress
	bitcoin
	ethereum
	secretAWS
	secretGitHub
	secretGitLab
	secretSlack
	secretStripe
	secretGoogle
	secretOpenAI
	secretAnthropic
	secretNPM
	secretPyPI
	secretTwilio
	secretSendGrid
	secretToken
	secretJWT
	secretPrivateKey
	secretURL
	secretPassword
	secretAuthorization
	builtin // their number
)

var kindNames = [builtin]Kind{
	email: "email", phone: "phone", birthDate: "birth_date",
	card: "card", iban: "iban", bic: "bic", aba: "aba",
	passport: "id.passport", driverLicense: "id.driver_license",
	usSSN: "id.us.ssn", usITIN: "id.us.itin", usEIN: "id.us.ein", usNPI: "id.us.npi", usMBI: "id.us.mbi",
	gbNHS: "id.gb.nhs", gbNINO: "id.gb.nino", deTaxID: "id.de.tax", frNIR: "id.fr.nir", esNIF: "id.es.nif",
	itCF: "id.it.cf", plPESEL: "id.pl.pesel", nlBSN: "id.nl.bsn", sePersonnummer: "id.se.personnummer",
	fiHETU: "id.fi.hetu", dkCPR: "id.dk.cpr", noFNR: "id.no.fnr", brCPF: "id.br.cpf", brCNPJ: "id.br.cnpj",
	inAadhaar: "id.in.aadhaar", inPAN: "id.in.pan", auTFN: "id.au.tfn", auABN: "id.au.abn", auMedicare: "id.au.medicare",
	caSIN: "id.ca.sin", sgNRIC: "id.sg.nric", krRRN: "id.kr.rrn", thID: "id.th.id", trID: "id.tr.id", zaID: "id.za.id",
	cnID: "id.cn.id", vin: "vin", imei: "imei", ipAddress: "net.ip", macAddress: "net.mac",
	bitcoin: "crypto.btc", ethereum: "crypto.eth",
	secretAWS: "secret.aws", secretGitHub: "secret.github", secretGitLab: "secret.gitlab", secretSlack: "secret.slack",
	secretStripe: "secret.stripe", secretGoogle: "secret.google", secretOpenAI: "secret.openai",
	secretAnthropic: "secret.anthropic", secretNPM: "secret.npm", secretPyPI: "secret.pypi", secretTwilio: "secret.twilio",
	secretSendGrid: "secret.sendgrid", secretToken: "secret.token", secretJWT: "secret.jwt",
	secretPrivateKey: "secret.private_key", secretURL: "secret.url", secretPassword: "secret.password",
	secretAuthorization: "secret.authorization",
}

// Kinds returns the names of all built-in kinds, in an order that does not
// change.
func Kinds() []Kind { return slices.Clone(kindNames[:]) }

// Default returns the kinds that a [Config] without Kinds looks for: all but
// addresses of networks and devices (net.ip, net.mac), which are what an
// operator works with.
func Default() []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return strings.HasPrefix(string(k), "net.") })
}

// Match reports whether a pattern of [Config.Kinds] names the kind.
func Match(pattern string, k Kind) bool {
	if before, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(string(k), before)
	}
	return pattern == string(k)
}
