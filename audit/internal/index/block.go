package index

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A block holds leaves that follow one another, compressed together: they are
// much alike, and a tenth of their size then.
const (
	blockLeaves = 128
	blockBytes  = 256 << 10 // of leaves, from which a block is full
)

// maxBlock bounds what a block is decompressed to: one that is nearly full, and the
// largest leaf of 64 MiB.
const maxBlock = 65 << 20

var (
	zip, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	unzip, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBlock))
)

// nanoseconds returns t since 1970, or the nearest time that can be counted so.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < math.MinInt64/1_000_000_000:
		return math.MinInt64
	case s >= math.MaxInt64/1_000_000_000:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// An openBlock is the newest block of a journal, which more may come to.
type openBlock struct {
	first    uint64
	n        int
	low      int64 // the earliest time in it, ns
	high     int64
	raw      []byte
	modified bool
}

func (b *openBlock) add(leaf []byte, ts int64) {
	if b.n == 0 {
		b.low, b.high = ts, ts
	}
	b.low, b.high = min(b.low, ts), max(b.high, ts)
	b.raw = binary.AppendUvarint(b.raw, uint64(len(leaf)))
	b.raw = append(b.raw, leaf...)
	b.n++
	b.modified = true
}

func (b *openBlock) full() bool { return b.n >= blockLeaves || len(b.raw) >= blockBytes }

// leaves reads what a block's row holds.
func leaves(data []byte) ([][]byte, error) {
	raw, err := unzip.DecodeAll(data, nil)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for len(raw) > 0 {
		n, k := binary.Uvarint(raw)
		if k <= 0 || n > uint64(len(raw)-k) {
			return nil, errors.New("a block that ends too early")
		}
		out = append(out, raw[k:k+int(n)])
		raw = raw[k+int(n):]
	}
	return out, nil
}
