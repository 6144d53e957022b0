package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// A stage is where the story is told: text, commands and what they print. It
// uses color on a terminal only.
type stage struct {
	w     io.Writer
	color bool
	part  int
}

func newStage(f *os.File) *stage {
	fi, err := f.Stat()
	terminal := err == nil && fi.Mode()&os.ModeCharDevice != 0
	return &stage{w: f, color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s *stage) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *stage) print(text string) { _, _ = io.WriteString(s.w, text) } // nobody to tell that nobody listens

func (s *stage) say(format string, args ...any) { s.print(fmt.Sprintf(format, args...) + "\n") }

func (s *stage) heading(text string) { s.print("\n" + s.paint("1", text) + "\n") }

// scene begins the next numbered part.
func (s *stage) scene(title string) {
	s.part++
	s.heading(fmt.Sprintf("%d. %s", s.part, title))
}

// command shows a command line as somebody types it.
func (s *stage) command(line string) { s.print("\n  " + s.paint("36", "$ "+line) + "\n") }

// block shows text as it is, set in.
func (s *stage) block(format string, args ...any) {
	for line := range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		s.print(strings.TrimRight("  "+line, " ") + "\n")
	}
}
