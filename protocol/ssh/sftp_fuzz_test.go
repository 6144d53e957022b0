package ssh

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/sallyport-dev/gateway/protocol"
)

// FuzzSFTPMessages holds the framing to its bounds: whatever a peer sends, no
// message is larger than the limit, and nothing is invented.
func FuzzSFTPMessages(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 3})
	f.Add([]byte{0, 0, 0, 9, 13, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		var out, passed []byte
		m := newMessages(iotest.HalfReader(bytes.NewReader(in)), func(b []byte) (int, error) {
			passed = append(passed, b...)
			return len(b), nil
		}, protocol.SideClient)
		var want []byte
		err := m.each(func(msg []byte) error {
			if len(msg) > maxSFTP+4 || len(msg) < 5 {
				t.Fatalf("a message of %d bytes", len(msg))
			}
			out = append(out, msg...)
			if msg[4]%2 == 0 {
				want = append(want, msg...)
				m.pass()
			}
			s := newSFTP(nil)
			q := &request{}
			fs := &fields{b: msg[5:]}
			if op := s.names(msg[4], fs, q); op != nil && !fs.bad && (op.Access == 0 || len(op.Objects) == 0) {
				t.Fatalf("an operation without access or object: %+v", op)
			}
			return nil
		})
		var bad *protocol.Fault
		if err != nil && err != io.ErrUnexpectedEOF && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		if !bytes.Equal(passed, want) {
			t.Fatal("what was written is not what was passed")
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatal("what was read is not what was sent")
		}
	})
}

// FuzzAnalyze holds the analysis of commands to its first rule: what runs is
// never less than Execute unless it is exactly a transfer.
func FuzzAnalyze(f *testing.F) {
	for _, s := range []string{"ls -l", "sudo rm -rf /", "a=$(x) b | c > d", "sh -c 'sh -c \"rm x\"'", "scp -t /x", "rsync --server . /x", "git-upload-pack 'a b'",
		"$x", "eval x", "<(a)", "for i in *; do rm $i; done", "((((", "cat <<E\nE\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		op := analyze(text)
		if op.Text != text {
			t.Fatal("the text was changed")
		}
		switch op.Verb {
		case Exec:
			if !op.Access.Has(1 << 4) {
				t.Fatalf("%q does not run anything: %s", text, op.Access)
			}
		case SCP, Rsync, Git:
		default:
			t.Fatalf("verb %q", op.Verb)
		}
	})
}
