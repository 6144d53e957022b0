package mask_test

import (
	"fmt"
	"os"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/mask/detect"
)

// show masks one text value.
func show(t mask.Transform, value string) {
	f, err := t.Bind(mask.Postgres(25, "text", false))
	if err != nil {
		fmt.Println(err)
		return
	}
	if out := f(nil, []byte(value)); out == nil {
		fmt.Println("NULL")
	} else {
		fmt.Printf("%q\n", out)
	}
}

func ExampleCompile() {
	set, err := mask.Compile(
		mask.Rule{Name: "contact", Columns: []string{"public.customers.email"}, Transform: mask.Email()},
		mask.Rule{Name: "person", Columns: []string{"*.*.ssn"}, Transform: mask.Redact()},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Match("public", "customers", "email").Name)
	fmt.Println(set.Match("archive", "people", "ssn").Name)
	fmt.Println(set.Match("public", "customers", "city") == nil)
	// Output:
	// contact
	// person
	// true
}

func ExampleNull() {
	show(mask.Null(), "ada@example.com")
	// Output: NULL
}

func ExampleDefault() {
	f, _ := mask.Default().Bind(mask.Postgres(1082, "date", false))
	fmt.Printf("%s\n", f(nil, []byte("1815-12-10")))
	// Output: 1970-01-01
}

func ExampleRedact() {
	show(mask.Redact(), "ada@example.com")
	// Output: "***"
}

func ExampleFixed() {
	show(mask.Fixed("hidden"), "ada@example.com")
	// Output: "hidden"
}

func ExamplePartial() {
	show(mask.Partial{KeepFirst: 4, KeepLast: 4}, "DE89370400440532013000")
	// Output: "DE89**************3000"
}

func ExampleKeepLast() {
	show(mask.KeepLast(4), "4111111111111111")
	show(mask.KeepLast(4), "12345") // too short to show four of it
	// Output:
	// "************1111"
	// "***"
}

func ExampleEmail() {
	show(mask.Email(), "ada@example.com")
	// Output: "***@example.com"
}

func ExampleHash() {
	key, err := mask.NewKey([]byte("32 random bytes from a vault ..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	a, _ := mask.Hash(key, "person").Bind(mask.Postgres(25, "text", false))
	one, two := a(nil, []byte("ada@example.com")), a(nil, []byte("ada@example.com"))
	fmt.Println(len(one), string(one) == string(two))
	// Output: 32 true
}

func ExampleNewKey() {
	_, err := mask.NewKey([]byte("short"))
	fmt.Fprintln(os.Stdout, err)
	key, _ := mask.NewKey([]byte("32 random bytes from a vault ..."))
	fmt.Println(key)
	// Output:
	// the key is shorter than 16 bytes (128 bits)
	// [redacted]
}

func ExamplePostgres() {
	int4 := mask.Postgres(23, "int4", true)
	f, err := mask.Redact().Bind(int4)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f(nil, []byte{0, 0, 0, 42})) // a number has no stars: it becomes 0
	// Output: [0 0 0 0]
}

func ExampleMySQL() {
	f, err := mask.Redact().Bind(mask.MySQL("int unsigned"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", f(nil, []byte("42")))
	// Output: 0
}

// Fields of documents are masked where they are; everything else stays as it is.
func ExampleDocuments_JSON() {
	set, err := mask.Compile(mask.Rule{Name: "person", Fields: []string{"**.email", "customer.born"}, Transform: mask.Redact()})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := set.Documents(nil).JSON([]byte(`{"customer": {"email": "ada@example.com", "born": 1815}, "items": [{"email": null, "n": 1}]}`))
	fmt.Println(string(out), err)
	// Output: {"customer": {"email": "***", "born": 0}, "items": [{"email": null, "n": 1}]} <nil>
}

func ExampleSet_Texts() {
	set, err := mask.Compile(
		mask.Rule{Name: "contact", Detect: []string{"email"}, Transform: mask.Email()},
		mask.Rule{Name: "secrets", Detect: []string{"secret.*"}, Transform: mask.Fixed("[secret]")},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	out := set.Texts(nil).Mask(nil, []byte("ada@example.com logged in with password=hunter2"), detect.Field{})
	fmt.Println(string(out))
	// Output: ***@example.com logged in with password=[secret]
}

// A value is found also where a chunk ends inside of it.
func ExampleStream() {
	set, err := mask.Compile(mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.KeepLast(4)})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := set.Stream(nil)
	for _, chunk := range []string{"paid with 4111 1111", " 1111 1111\n", "done"} {
		fmt.Printf("%q\n", s.Next([]byte(chunk), false))
	}
	fmt.Printf("%q\n", s.Flush())
	// Output:
	// ""
	// "paid with ***************1111\n"
	// ""
	// "done"
}

func ExampleSet_Column() {
	set, err := mask.Compile(mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.KeepLast(4)})
	if err != nil {
		fmt.Println(err)
		return
	}
	col := set.Column("number", mask.Postgres(25, "text", false), nil)
	for _, v := range []string{"n/a", "4111111111111111", "4111111111111112"} { // the last one is mistyped
		if out, changed := col.Mask(nil, []byte(v)); changed {
			v = string(out)
		}
		fmt.Println(v)
	}
	// Output:
	// n/a
	// ************1111
	// ************1112
}

func ExampleCard() {
	show(mask.Card(true), "4111 1111 1111 1111")
	// Output: "4111 11** **** 1111"
}

func ExampleShape() {
	show(mask.Shape(), "Flat 12b")
	// Output: "Xxxx 00x"
}

func ExampleURL() {
	show(mask.URL(), "https://user:secret@example.com/reset?token=x")
	// Output: "https://example.com/***"
}

func ExampleReplace() {
	show(mask.Replace(`[0-9]+`, "#"), "Room 12, floor 3")
	// Output: "Room #, floor #"
}

func ExampleNetwork() {
	show(mask.Network(24, 64), "10.1.2.3")
	// Output: "10.1.2.0"
}

func ExampleRound() {
	f, _ := mask.Round(1000).Bind(mask.Postgres(23, "int4", false))
	fmt.Printf("%s\n", f(nil, []byte("51234")))
	// Output: 51000
}

func ExampleTruncate() {
	f, _ := mask.Truncate(mask.Year).Bind(mask.Postgres(1082, "date", false))
	fmt.Printf("%s\n", f(nil, []byte("1815-12-10")))
	// Output: 1815-01-01
}

func examplesKey() mask.Key {
	key, err := mask.NewKey([]byte("32 random bytes from a vault ..."))
	if err != nil {
		fmt.Println(err)
	}
	return key
}

func ExamplePseudonym() {
	show(mask.Pseudonym(examplesKey(), "card", mask.Digits), "4111 1111 1111 1111")
	// Output: "9173 4655 5078 2777"
}

func ExampleFF1() {
	show(mask.FF1(examplesKey(), "card", mask.Decimal), "4111 1111 1111 1111")
	value, err := mask.OpenFF1(examplesKey(), "card", mask.Decimal, mask.Type{Kind: mask.Text}, []byte("7659 1132 8420 5106"))
	fmt.Println(string(value), err)
	// Output: "7659 1132 8420 5106"
	// 4111 1111 1111 1111 <nil>
}

func ExampleBucket() {
	show(mask.Bucket(examplesKey(), "customer", 4), "ada@example.com")
	// Output: "2"
}

func ExampleNoise() {
	f, _ := mask.Noise(examplesKey(), "salary", 1000).Bind(mask.Postgres(23, "int4", false))
	once, again := f(nil, []byte("51234")), f(nil, []byte("51234"))
	fmt.Println(string(once) == string(again))
	// Output: true
}

func ExampleElements() {
	f, _ := mask.Elements(mask.Email()).Bind(mask.Postgres(1009, "_text", false))
	fmt.Printf("%s\n", f(nil, []byte("{ada@example.com,NULL}")))
	// Output: {"***@example.com",NULL}
}

func ExampleSet_At() {
	s, _ := mask.Compile(mask.Rule{Name: "contact", Columns: []string{"public.customers.profile"}, Members: []string{"contact.email", "**.ssn"}, Transform: mask.Redact()})
	own := s.At("public", "customers", "profile", "")
	f, _ := own.Bind(mask.Postgres(3802, "jsonb", false), nil)
	fmt.Printf("%s\n", f(nil, []byte(`{"name": "Ada", "contact": {"email": "ada@example.com"}}`)))

	// What a query takes out of the column is masked by where it lay.
	for _, path := range []string{"/contact", "/contact/email", "/name"} {
		v := s.At("public", "customers", "profile", path)
		f, _ := v.Bind(mask.Postgres(25, "text", false), nil)
		fmt.Printf("%s %s\n", path, f(nil, []byte(`{"email": "ada@example.com"}`)))
	}
	// Output:
	// {"name": "Ada", "contact": {"email": "***"}}
	// /contact {"email": "***"}
	// /contact/email ***
	// /name {"email": "ada@example.com"}
}

func ExampleRecord() {
	f, _ := mask.Record(map[int]mask.Transform{2: mask.Redact()}).Bind(mask.Postgres(16500, "address", false))
	fmt.Printf("%s\n", f(nil, []byte("(Rome,\"Via X, 1\")")))
	// Output: ("Rome","***")
}

func ExampleFound() {
	show(mask.Found(mask.Redact(), "email"), "please write to ada@example.com")
	// Output: "please write to ***"
}

func ExampleParseInference() {
	i, err := mask.ParseInference("equality")
	fmt.Println(i, err)
	_, err = mask.ParseInference("some")
	fmt.Println(err)
	// Output:
	// equality <nil>
	// inference: "some" is none of allow, equality, approve, block
}
