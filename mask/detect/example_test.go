package detect_test

import (
	"fmt"

	"github.com/sallyport-dev/gateway/mask/detect"
)

func ExampleDetector_Find() {
	d, err := detect.New(detect.Config{Kinds: []string{"email", "card", "id.us.*"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	text := "ada@example.com paid with 4111 1111 1111 1111, order 4111111111111112"
	for _, f := range d.Find(nil, []byte(text), detect.Field{}) {
		fmt.Println(f.Kind, text[f.Start:f.End])
	}
	// What the column is called says what bare digits are.
	fmt.Println(len(d.Find(nil, []byte("536904399"), detect.Field{})), d.Find(nil, []byte("536904399"), d.Field("employee_ssn"))[0].Kind)
	// Output:
	// email ada@example.com
	// card 4111 1111 1111 1111
	// 0 id.us.ssn
}

func ExampleNew() {
	d, err := detect.New(detect.Config{Custom: []detect.Custom{
		{Kind: "staff", Pattern: `\bEMP-\d{6}\b`, Near: []string{"EMP-"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Find(nil, []byte("assigned to EMP-004711"), detect.Field{}))
	// Output: [{staff 12 22 95}]
}

func ExampleKinds() {
	fmt.Println(len(detect.Kinds())-len(detect.Default()), detect.Match("net.*", "net.ip"))
	// Output: 2 true
}

func ExampleDefault() {
	fmt.Println(detect.Default()[:3])
	// Output: [email phone birth_date]
}
