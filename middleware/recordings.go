package middleware

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// RecordingConfig says what a step recordings keeps.
type RecordingConfig struct {
	Dir string `yaml:"dir"` // where recordings go; see [audit.CreateAsciicast]

	// Verbs are the operations that are recorded; empty means shell and exec. Of
	// databases they are statements, such as select, whose rows are kept. Of HTTP they are methods in lower case, and websocket. With forward and accept
	// the bytes of forwarded connections are kept, too, as they are; how many there
	// were is in the journal in any case.
	Verbs []protocol.Verb `yaml:"verbs"`

	// Kinds are [Glob] patterns for the media types of streams that are recorded,
	// such as "application/json" and "text/*"; empty means all. A stream of which
	// nobody says what it is, as in a shell, is recorded whatever they are.
	Kinds []string `yaml:"kinds"`

	// Input keeps what clients send too, and so passwords that are typed.
	Input bool `yaml:"input"`

	// Max bounds the bytes of one recording; 0 means 64 MiB. What is beyond is
	// not recorded, and the recording says so.
	Max int64 `yaml:"max"`

	// Journal, if not nil, returns the journal that the recordings are hashed
	// into, and that says whether they are sealed.
	Journal func() (*audit.Journal, error) `yaml:"-"`
}

// Recordings returns the step that keeps the streams of operations, such as
// shells and commands, as asciicasts, one file for each. What is not text, as bytes with
// a NUL show, is kept as it is, except on a terminal; a row is a line, its values apart
// by tabs, and what is in a binary format in hexadecimal behind \x. What a client sees has been written to the file
// before; if that fails, the operation ends, and if the file cannot be completed,
// its record says so and the session ends. It never allows anything, and does not
// replace [Record]: it stands behind what masks, and keeps what is left of the
// streams then. An operation of Verbs whose streams or rows cannot be seen is refused.
func Recordings(c RecordingConfig) Step {
	s := Step{Name: "recordings", Role: RoleKeeps}
	switch {
	case c.Dir == "":
		s.err = errors.New("dir is missing: name the directory of the recordings")
	case c.Max < 0:
		s.err = errors.New("max is negative")
	case c.Max == 0:
		c.Max = 64 << 20
	}
	c.Verbs, c.Kinds = slices.Clone(c.Verbs), slices.Clone(c.Kinds)
	if len(c.Verbs) == 0 {
		c.Verbs = []protocol.Verb{"shell", "exec"}
	}
	s.Operation = func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if !slices.Contains(c.Verbs, op.Verb) {
			return protocol.Pass, nil
		}
		return c.record(op)
	}
	return s
}

func (c *RecordingConfig) record(op *protocol.Operation) (protocol.Decision, error) {
	// Made when the first stream begins: what is refused leaves no file.
	var cast *audit.Asciicast
	begin := func() error {
		if cast != nil {
			return nil
		}
		var j *audit.Journal
		var err error
		if c.Journal != nil {
			if j, err = c.Journal(); err != nil {
				return err
			}
		}
		cast, err = audit.CreateAsciicast(c.Dir, op, c.Max, j)
		return err
	}
	bytes := op.OnBytes(func(st protocol.Stream) (protocol.BytesFunc, error) {
		if st.Kind != "" && len(c.Kinds) > 0 && !globAny(c.Kinds, st.Kind) || st.In && !c.Input {
			return nil, nil
		}
		if err := begin(); err != nil {
			return nil, err
		}
		a := cast
		add := a.Input
		switch {
		case st.Name == "forward":
			add = func(b []byte) error { return a.Bytes(b, st.In) }
		case !st.In:
			add = func(b []byte) error { return a.Output(b, st.Name == "stderr") }
		}
		if st.In {
			return func(b []byte, _ bool) ([]byte, error) {
				if err := add(b); !errors.Is(err, os.ErrClosed) { // what comes behind the end goes nowhere
					return b, err
				}
				return b, nil
			}, nil
		}
		return func(b []byte, _ bool) ([]byte, error) { return b, add(b) }, nil
	})
	rows := op.OnRows(func(cols []protocol.Column) (protocol.RowFunc, error) {
		if err := begin(); err != nil {
			return nil, err
		}
		return recordRows(cast, cols)
	})
	err := bytes
	if errors.Is(err, protocol.ErrShape) {
		err = rows
	} else if err == nil && !errors.Is(rows, protocol.ErrShape) {
		err = rows
	}
	if errors.Is(err, protocol.ErrShape) {
		return protocol.Deny("this cannot be recorded, and has to be"), nil
	}
	if err == nil && op.Terminal != nil {
		err = op.OnResize(func(columns, rows int) error {
			if cast == nil { // nothing has begun
				return nil
			}
			return cast.Resize(columns, rows)
		})
	}
	op.OnEnd(func(out protocol.Outcome) error {
		if cast == nil { // nothing has begun
			return nil
		}
		return cast.Close(out)
	})
	return protocol.Pass, err
}

// recordRows returns what adds each row of a result to a, behind a line with the
// names of its columns.
func recordRows(a *audit.Asciicast, cols []protocol.Column) (protocol.RowFunc, error) {
	var line []byte
	for i := range cols {
		line = appendCell(line, i, []byte(cols[i].Name), false)
	}
	if err := a.Output(append(line, "\r\n"...), false); err != nil {
		return nil, err
	}
	return func(row [][]byte) error {
		line = line[:0]
		for i, v := range row {
			line = appendCell(line, i, v, i < len(cols) && cols[i].Binary)
		}
		line = append(line, "\r\n"...)
		return a.Output(line, false)
	}, nil
}

// appendCell appends a value as COPY writes it, so that a line is a row.
func appendCell(dst []byte, i int, v []byte, binary bool) []byte {
	if i > 0 {
		dst = append(dst, '\t')
	}
	switch {
	case v == nil:
		return append(dst, `\N`...)
	case binary:
		return hex.AppendEncode(append(dst, `\x`...), v)
	}
	for _, c := range v {
		switch c {
		case '\\':
			dst = append(dst, `\\`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// RecordingKind is the kind "recordings" for configuration files:
//
//	recordings: {dir: /var/lib/sallyport/recordings, journal: /var/lib/sallyport/audit}
//	recordings: {dir: /var/lib/sallyport/rows, verbs: [select, shell, exec]}
//	recordings: {dir: /var/lib/sallyport/bodies, verbs: [post, put], kinds: [application/json], input: true}
//
// With journal, the directory of a step record with a journal from set, the
// recordings are hashed into it.
func RecordingKind(set *audit.Set) Kind {
	type settings struct {
		RecordingConfig `yaml:",inline"`
		Into            string `yaml:"journal"`
	}
	return KindOf("recordings", func(c settings) (Step, error) {
		if c.Into != "" {
			c.Journal = func() (*audit.Journal, error) {
				j, release, open := set.Find(c.Into)
				if !open {
					return nil, fmt.Errorf("recordings: the journal in %s is not open", c.Into)
				}
				return j, release() // the step record keeps it open as long as there are sessions
			}
		}
		s := Recordings(c.RecordingConfig)
		s.into = c.Into
		return s, s.err
	})
}
