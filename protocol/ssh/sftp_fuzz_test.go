package ssh

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/sallyport-dev/gateway/protocol"
)

// FuzzSFTPMessages holds the framing to its bounds: whatever a peer sends, no
// message is larger than the limit, and nothing is invented.
func FuzzSFTPMessages(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 3})
	f.Add([]byte{0, 0, 0, 9, 13, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), chunk)
		var buf []byte
		var out []byte
		for {
			var err error
			if buf, err = message(r, buf, protocol.SideClient); err != nil {
				var bad *protocol.Fault
				if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &bad) {
					t.Fatal(err)
				}
				break
			}
			if len(buf) > maxSFTP+4 || len(buf) < 5 {
				t.Fatalf("a message of %d bytes", len(buf))
			}
			out = append(out, buf...)
			s := newSFTP(nil)
			q := &request{}
			fs := &fields{b: buf[5:]}
			if op := s.names(buf[4], fs, q); op != nil && !fs.bad && (op.Access == 0 || len(op.Objects) == 0) {
				t.Fatalf("an operation without access or object: %+v", op)
			}
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
