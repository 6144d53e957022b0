package mask

import (
	"bytes"
	"slices"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// HoldBack is the most bytes that a [Stream] holds back.
const HoldBack = 16 << 10

const (
	keepBack = 4 << 10 // of a line longer than HoldBack, for what may go on in it
	keepSeen = 256     // of what was shown, as context
)

// A Stream masks what detectors find in a stream of bytes: the output of a
// command or of a terminal. It works line by line, and does the same however the
// stream is cut into chunks. A line is held back until its end has come, but no
// more than [HoldBack] bytes of it: of a longer line all but the last 4 KiB is
// then looked at. Who shows the stream to a person calls [Stream.Flush] when
// nothing has come for a while, say 20 ms, and shows so what was held back; of a
// value whose beginning was shown so, only the rest is masked. Who shows it to a
// program calls [Stream.Settled] then, which keeps back what may go on. It is for one
// goroutine at a time.
//
// Control sequences of a terminal (ECMA-48) stay what they are and in their
// order. Those for colour, for the rest of the line and for character sets (SGR, EL,
// SCS) do not interrupt a value: they stand behind what takes its place, as zero bytes
// do, which a terminal does not show and UTF-16 is full of. All others do. Text
// in control strings, such as a window's title, is masked like other text.
//
// A private key is one value over many lines, whatever stands around each of them: a
// line number, the sign of a comparison, the name of a file.
type Stream struct {
	texts *Texts
	out   []byte
	line  []byte
	shown int  // of line; the rest is held back
	stars bool // what was shown ends with what took a value's place

	// The value goes on behind what was shown: a private key, or one that is
	// longer than HoldBack.
	key, long bool
	around    int // how much stands around the key in its first line

	terminal terminal
	controls bool    // there are control sequences in line
	kinds    []uint8 // of the bytes of line, if there are
	plain    []byte  // line without control sequences
	at       []int   // where each byte of plain stands in line
}

// Stream returns a new masker of a stream by the rules' Detect and Custom; masked
// is as in [Set.Texts].
func (s *Set) Stream(masked func(rule, what string)) *Stream {
	return &Stream{texts: s.Texts(masked)}
}

// Next returns what takes the place of the chunk, which may be nothing; last says
// that the stream ends with it. The result is valid until the next call of any
// method.
func (s *Stream) Next(chunk []byte, last bool) []byte {
	if !s.texts.set.HasDetectors() {
		return chunk
	}
	s.out = s.out[:0]
	for len(chunk) > 0 {
		n := min(len(chunk), HoldBack-(len(s.line)-s.shown))
		end := bytes.IndexByte(chunk[:n], '\n') + 1
		if end > 0 {
			n = end
		}
		s.take(chunk[:n])
		chunk = chunk[n:]
		switch {
		case end > 0:
			s.endLine()
		case len(s.line)-s.shown == HoldBack:
			s.show(len(s.line)-keepBack, false)
			s.forget()
		}
	}
	if last {
		s.endLine()
	}
	return s.out
}

// Flush returns what was held back, as if the line ended here. The result is
// valid until the next call of any method.
func (s *Stream) Flush() []byte {
	s.out = s.out[:0]
	if s.shown < len(s.line) {
		s.show(len(s.line), true)
		s.forget()
	}
	return s.out
}

// Settled returns what of what was held back can be told by now: the line without its
// last word, nor the words with digits before it, in which a value may begin that is
// not yet whole. With patterns of one's own it keeps back 4 KiB. What comes later as
// context is not waited for. The result is valid until the next call of any method.
func (s *Stream) Settled() []byte {
	s.out = s.out[:0]
	if to := s.settled(); s.shown < to {
		s.show(to, false)
		s.forget()
	}
	return s.out
}

// settled returns how much of the line can be told.
func (s *Stream) settled() int {
	if s.key { // its end is known when its line is whole
		return s.shown
	}
	to := len(s.line)
	if s.texts.set.hasPatterns() {
		to -= keepBack
	}
	word := func(end int) (start int) { // that ends there
		for start = end; start > s.shown && !isBlank(s.line[start-1]); start-- {
		}
		return start
	}
	for to = word(to); to > s.shown; {
		end := to
		for ; end > s.shown && isBlank(s.line[end-1]); end-- {
		}
		start := word(end)
		if !bytes.ContainsAny(s.line[start:end], "0123456789") {
			break
		}
		to = start
	}
	d := s.texts
	d.found = d.set.detector.Find(d.found[:0], s.text(), detect.Field{})
	for i := range d.found {
		if f := &d.found[i]; s.place(f.End-1) >= to || f.End == len(s.text()) {
			to = min(to, s.place(f.Start))
		}
	}
	return to
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// take adds b to the line.
func (s *Stream) take(b []byte) {
	if !s.controls {
		if s.terminal.state == ground && bytes.IndexByte(b, esc) < 0 && bytes.IndexByte(b, 0) < 0 {
			s.line = append(s.line, b...)
			return
		}
		s.controls = true
		s.kinds = append(s.kinds[:0], make([]uint8, len(s.line))...)
	}
	for _, c := range b {
		s.kinds = s.terminal.step(s.kinds, c, len(s.line))
		s.line = append(s.line, c)
	}
}

func (s *Stream) endLine() {
	s.show(len(s.line), true)
	s.terminal.start -= len(s.line)
	s.line, s.shown, s.stars, s.controls = s.line[:0], 0, false, false
}

// forget drops what was shown and is too far away to say anything.
func (s *Stream) forget() {
	drop := s.shown - keepSeen
	if drop <= 0 {
		return
	}
	s.line = append(s.line[:0], s.line[drop:]...)
	if s.controls {
		s.kinds = append(s.kinds[:0], s.kinds[drop:]...)
	}
	s.shown -= drop
	s.terminal.start -= drop
}

// show appends line[shown:to] to out, masked. final says that nothing that
// follows belongs to what is there; otherwise less may be shown.
func (s *Stream) show(to int, final bool) {
	if s.key || s.long {
		s.rest(to)
	}
	if s.shown >= to {
		return
	}
	text := s.text()
	d := s.texts
	d.found = d.set.detector.Find(d.found[:0], text, detect.Field{})
	for i := range d.found {
		f := &d.found[i]
		start, end := s.place(f.Start), s.place(f.End-1)+1
		if end <= s.shown {
			continue
		}
		if !final && (end > to || end == len(s.line)) { // it may go on
			if start > s.shown {
				to = min(to, start)
				break
			}
			if start < to {
				s.long = true
				end = to
			}
		}
		if start >= to {
			break
		}
		s.copy(start)
		if hidden := s.stars && start < s.shown; !hidden {
			if start >= s.shown {
				s.out = append(s.out, d.replace(f.Kind, text[f.Start:f.End])...)
			} else {
				s.out = append(s.out, stars...)
			}
		}
		s.drop(min(end, to))
		if final && d.set.isKey(f.Kind) {
			_, ended := detect.PrivateKey(text[f.Start:])
			s.key = !ended
			s.around = f.Start
			line := bytes.TrimRight(text, "\r\n")
			if behind := len(line) - bytes.LastIndex(line, []byte("-----")) - 5; behind < 16 {
				s.around += behind
			}
		}
	}
	s.copy(to)
}

// rest drops what belongs to the value that goes on.
func (s *Stream) rest(to int) {
	if s.key {
		s.restOfKey(to)
		return
	}
	held := s.line[s.shown:to]
	n := 0
	for n < len(held) && (detect.InToken(held[n]) || s.kindOf(s.shown+n) != visible) {
		n++
	}
	s.long = n == len(held)
	s.drop(s.shown + n)
}

// restOfKey drops what belongs to the private key that goes on.
func (s *Stream) restOfKey(to int) {
	text := s.text()
	from, end := s.shown, to
	if s.controls {
		from, _ = slices.BinarySearch(s.at, s.shown)
		end, _ = slices.BinarySearch(s.at, to)
	}
	n, ended := detect.PrivateKeyRest(text[from:end])
	if s.around > 0 && !ended && end > from && end-from <= s.around+len("0\r\n") && text[end-1] == '\n' {
		n = end - from // an empty line, in what stands around the others
	}
	switch s.key = from+n == end && !ended; {
	case s.key:
		s.drop(to)
	case n > 0:
		s.drop(s.place(from+n-1) + 1)
	}
}

func (s *Stream) kindOf(i int) uint8 {
	if !s.controls {
		return visible
	}
	return s.kinds[i]
}

// text returns the line without its control sequences.
func (s *Stream) text() []byte {
	if !s.controls {
		return s.line
	}
	s.plain, s.at = s.plain[:0], s.at[:0]
	for i, k := range s.kinds {
		c := s.line[i]
		switch {
		case k == glued:
			continue
		case k == separates:
			c = '\n'
		}
		s.plain = append(s.plain, c)
		s.at = append(s.at, i)
	}
	return s.plain
}

// place returns where the byte at i of text stands in line.
func (s *Stream) place(i int) int {
	if !s.controls {
		return i
	}
	return s.at[i]
}

// copy shows the line up to i.
func (s *Stream) copy(i int) {
	if i <= s.shown {
		return
	}
	s.out = append(s.out, s.line[s.shown:i]...)
	s.shown, s.stars = i, false
}

// drop leaves out the line up to i, but for its control sequences.
func (s *Stream) drop(i int) {
	if i <= s.shown {
		return
	}
	if s.controls {
		for k := s.shown; k < i; k++ {
			if s.kinds[k] != visible {
				s.out = append(s.out, s.line[k])
			}
		}
	}
	s.shown, s.stars = i, true
}
