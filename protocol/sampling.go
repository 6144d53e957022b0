package protocol

import "time"

// A Sampling is what a connector does with the first rows of a result before it shows
// them: see [Exchange.Sample]. It is for one goroutine at a time.
type Sampling struct {
	fs          []SampleFunc
	rows, bytes int
	until       time.Time
}

func (x *Exchange) startSample(cols []Column) error {
	var fs []SampleFunc
	for _, tap := range x.op.samples {
		f, err := tap(cols)
		if err != nil {
			return err
		}
		if f != nil {
			fs = append(fs, f)
		}
	}
	if fs != nil {
		x.sample = &Sampling{fs: fs}
	}
	return nil
}

// Sample returns what has to see the first rows of the result that [Exchange.Rows]
// has announced, nil if nothing has. The connector then holds each row that comes,
// and passes it to [Sampling.Add], until that says that it is enough, the target has
// sent anything else than a row (the end of the result, an error, a notice, that a
// portal is suspended), or [Sampling.Until] has come. Then it shows what it holds to
// the function of Rows and releases it, in order, and holds nothing of this result
// any more. A row that would bring it over [SampleBytes] is not sampled.
func (x *Exchange) Sample() *Sampling { return x.sample }

// Add shows a row of size bytes, which the connector holds. full says that nothing
// more is to be held.
func (s *Sampling) Add(row [][]byte, size int) (full bool) {
	if s.rows == 0 {
		s.until = time.Now().Add(SampleTime)
	}
	s.rows++
	s.bytes += size
	left := s.fs[:0]
	for _, f := range s.fs {
		if !f(row) {
			left = append(left, f)
		}
	}
	s.fs = left
	return len(s.fs) == 0 || s.rows >= SampleRows || s.bytes >= SampleBytes
}

// Fits reports whether another row of size bytes may be held.
func (s *Sampling) Fits(size int) bool { return s.bytes+size <= SampleBytes }

// Until is when what is held has to be released, whatever comes. It is zero while
// nothing is.
func (s *Sampling) Until() time.Time { return s.until }
