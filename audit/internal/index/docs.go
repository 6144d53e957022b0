package index

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A bucket is a run of event numbers. What is known of a term in one bucket is
// one row, so that a row is small enough to be written again with each batch,
// and a search through ten million events reads a term in some 600 places.
const (
	bucketBits = 14
	bucketSize = 1 << bucketBits
	bitmapLen  = bucketSize / 8
)

// docs is a set of places in a bucket: a sorted list, or a bitmap if that is
// smaller. The zero docs is empty.
type docs struct {
	list []uint16
	bits *bitmap
}

type bitmap [bucketSize / 64]uint64

// add adds n, and reports whether it was new.
func (d *docs) add(n uint16) bool {
	if d.bits != nil {
		was := d.bits[n/64]
		d.bits[n/64] = was | 1<<(n%64)
		return d.bits[n/64] != was
	}
	if k := len(d.list); k == 0 || d.list[k-1] < n {
		d.list = append(d.list, n)
	} else {
		i, found := slices.BinarySearch(d.list, n)
		if found {
			return false
		}
		d.list = slices.Insert(d.list, i, n)
	}
	if 2*len(d.list) >= bitmapLen {
		d.bits = &bitmap{}
		for _, n := range d.list {
			d.bits[n/64] |= 1 << (n % 64)
		}
		d.list = nil
	}
	return true
}

// remove removes n, and reports whether it was there.
func (d *docs) remove(n uint16) bool {
	if d.bits != nil {
		was := d.bits[n/64]
		d.bits[n/64] = was &^ (1 << (n % 64))
		return d.bits[n/64] != was
	}
	i, found := slices.BinarySearch(d.list, n)
	if found {
		d.list = slices.Delete(d.list, i, i+1)
	}
	return found
}

// encode returns d as its row holds it: the bitmap, which no list is as long as,
// or the list.
func (d *docs) encode() []byte {
	if d.bits != nil {
		b := make([]byte, 0, bitmapLen)
		for _, w := range d.bits {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b
	}
	b := make([]byte, 0, 2*len(d.list))
	for _, n := range d.list {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return b
}

// decode reads what encode has made. Places that no bucket has are left out.
func decode(b []byte) (d docs) {
	if len(b) == bitmapLen {
		d.bits = &bitmap{}
		d.bits.or(b)
		return d
	}
	for ; len(b) >= 2; b = b[2:] {
		d.list = append(d.list, binary.LittleEndian.Uint16(b)%bucketSize)
	}
	return d
}

// or adds what an encoded set holds.
func (m *bitmap) or(b []byte) {
	if len(b) == bitmapLen {
		for i := range m {
			m[i] |= binary.LittleEndian.Uint64(b[8*i:])
		}
		return
	}
	for ; len(b) >= 2; b = b[2:] {
		n := binary.LittleEndian.Uint16(b) % bucketSize
		m[n/64] |= 1 << (n % 64)
	}
}

// and leaves in m what is in o as well, and reports whether that is anything.
func (m *bitmap) and(o *bitmap) bool {
	any := uint64(0)
	for i := range m {
		m[i] &= o[i]
		any |= m[i]
	}
	return any != 0
}

// descend appends the places in m as numbers of a bucket's events, highest
// first, below before.
func (m *bitmap) descend(dst []uint64, bucket, before uint64) []uint64 {
	for i, w := range slices.Backward(m[:]) {
		for w != 0 {
			n := 63 - bits.LeadingZeros64(w)
			w &^= 1 << n
			if seq := bucket<<bucketBits | uint64(i*64+n); seq < before {
				dst = append(dst, seq)
			}
		}
	}
	return dst
}
