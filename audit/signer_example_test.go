package audit_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
)

// token stands for what a library for PKCS#11 or for a key management service
// returns: a crypto.Signer, whose key never leaves the device.
func token() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

// A journal that is signed by a key in an HSM.
func ExampleNewSigner() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	signer, err := audit.NewSigner("gateway.example.com", token())
	if err != nil {
		log.Fatal(err)
	}
	public, err := audit.SignerKey(signer) // for whoever verifies
	if err != nil {
		log.Fatal(err)
	}
	j, err := audit.Open(dir, audit.Options{Signer: signer})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	key, err := audit.ParseKey(public)
	if err != nil {
		log.Fatal(err)
	}
	rep, err := audit.Trust{Keys: []note.Verifier{key}}.Verify(context.Background(), dir)
	fmt.Println(rep.Unsigned(), err)
	// Output: 0 <nil>
}

// The public half is for everybody who is to verify.
func ExampleSignerKey() {
	signer, err := audit.NewSigner("gateway.example.com", token())
	if err != nil {
		log.Fatal(err)
	}
	public, err := audit.SignerKey(signer)
	if err != nil {
		log.Fatal(err)
	}
	key, err := audit.ParseKey(public)
	fmt.Println(key.Name(), err)
	// Output: gateway.example.com <nil>
}
