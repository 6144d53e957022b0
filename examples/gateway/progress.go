package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// progress returns what is told how far long work has got. It shows that on the
// terminal, if standard error is one, a few times a second; a script sees nothing.
func (p *program) progress(format string) func(uint64) {
	if p.told != nil {
		return p.told
	}
	f, ok := p.stderr.(*os.File)
	if !ok {
		return nil
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	var mu sync.Mutex
	shown := time.Now() // work that is short shows nothing
	return func(n uint64) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(shown) < 300*time.Millisecond {
			return
		}
		shown = time.Now()
		_, _ = fmt.Fprintf(f, "\r\x1b[K"+format+"\r", n) // on one line, which what follows overwrites
	}
}
