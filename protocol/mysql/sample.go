package mysql

// sample lets the taps look at the first rows of a result, of which the first is at
// the position. They are held where they were read: it looks ahead and does not move
// on.
func (b *relay) sample(t *rowTap) error {
	s, ahead := t.sampling, 0
	t.sampling = nil
	for {
		need := ahead + headerLen + 1
		buf := b.r.Buffered()[b.i:]
		if len(buf) >= need {
			buf = buf[ahead:]
			n, _ := frame(buf)
			if first := buf[headerLen]; n == 0 || first == packetERR || first == packetEOF || !s.Fits(n) {
				return nil // no row, or one that is not held
			}
			if need = ahead + headerLen + n; len(buf) >= headerLen+n {
				if t.decode(buf[headerLen:headerLen+n]) != nil {
					return nil // told when it is its turn to be shown
				}
				ahead = need
				if s.Add(t.given, n) {
					return nil
				}
				continue
			}
		}
		switch err := b.fillUntil(need, s.Until()); {
		case err == nil:
		case ahead > 0:
			return nil // what broke is still broken when the rows have been shown
		default:
			return err
		}
	}
}
