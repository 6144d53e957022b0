package protocoltest

import (
	"iter"
	"strings"
	"sync"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Target is the kit's script behind [Kit.ServeTarget]. It is safe for use by
// many goroutines.
type Target struct {
	saw func(text string)

	mu      sync.Mutex
	account protocol.Credentials
	script  map[string]func() Reply // by tag
}

// Account returns the only account of the target.
func (t *Target) Account() protocol.Credentials {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.account
}

func (t *Target) change(secret string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.account.Secret = protocol.NewSecret(secret)
}

// A Reply is the target's answer to one text.
type Reply struct {
	// Err, if not empty, is the text of an error; there is nothing else.
	Err string

	// Columns are the names of the result's columns, all of them texts. nil
	// means that there is no result, as after a change.
	Columns []string

	// Rows are sent as they come: a row goes out before the next is asked for
	// if that takes long. A nil value is NULL. An error means that the target
	// dies here: send what there is so far and return from ServeTarget.
	Rows iter.Seq2[[][]byte, error]
}

// Do returns the answer to text.
func (t *Target) Do(text string) Reply {
	t.saw(text)
	t.mu.Lock()
	var f func() Reply
	for tag, g := range t.script {
		if strings.Contains(text, tag) {
			f = g
		}
	}
	t.mu.Unlock()
	if f == nil {
		return Reply{Err: "the kit's target does not know this text"}
	}
	return f()
}

func (t *Target) on(tag string, f func() Reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.script[tag] = f
}

// rowsOf returns rows that can be asked for many times.
func rowsOf(rows ...[][]byte) iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func row(values ...string) [][]byte {
	r := make([][]byte, len(values))
	for i, v := range values {
		r[i] = []byte(v)
	}
	return r
}
