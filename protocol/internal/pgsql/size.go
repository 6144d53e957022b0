package pgsql

import "github.com/sallyport-dev/gateway/protocol"

// scriptSize estimates what a Script holds in memory.
func scriptSize(s *Script) int {
	if s == nil {
		return 64
	}
	n := 128
	for i := range s.Statements {
		n += s.Statements[i].Bytes()
	}
	return n
}

// Bytes is about the memory that s takes.
func (s *Statement) Bytes() int {
	const ref, source, column, object = 48, 80, 64, 40
	n := 432 + ref*(len(s.Reads)+len(s.Returned)+len(s.Writes)) + source*len(s.Inferred) + object*len(s.Objects) + len(s.Why)
	for _, o := range s.Objects {
		n += len(o.Name)
	}
	n += columnsSize(s.Columns, column, source)
	if s.Inner != nil {
		n += s.Inner.Bytes()
	}
	return n
}

func columnsSize(list []protocol.Column, column, source int) int {
	n := 0
	for i := range list {
		n += column + len(list[i].Name) + source*len(list[i].Sources)
	}
	return n
}
