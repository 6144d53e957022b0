package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// headerSize is length, CRC and chain.
	headerSize = 4 + 4 + sha256.Size

	// maxLeaf bounds a leaf. It is far above what connectors accept as a
	// statement, and low enough to hold one in memory.
	maxLeaf = 64 << 20

	// minLeaf is shorter than any leaf; with it, a run of zeros is no frame.
	minLeaf = len(leafStart) + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A chain is the state of the hash chain behind a leaf.
type chain [sha256.Size]byte

// hashLeaf returns the leaf hash of RFC 6962. scratch saves an allocation for
// each leaf: it is the hashed text's buffer, which grows and is returned.
func hashLeaf(leaf, scratch []byte) (tlog.Hash, []byte) {
	scratch = append(scratch[:0], 0)
	scratch = append(scratch, leaf...)
	return tlog.Hash(sha256.Sum256(scratch)), scratch
}

// next returns the chain behind a leaf of that hash.
func (c chain) next(h tlog.Hash) chain {
	var pair [2 * sha256.Size]byte
	copy(pair[:], c[:])
	copy(pair[sha256.Size:], h[:])
	return sha256.Sum256(pair[:])
}

// setLen writes the length of frame's leaf into its header.
func setLen(frame []byte) { binary.BigEndian.PutUint32(frame, uint32(len(frame)-headerSize)) }

// frameLen returns the length of the frame at the start of b, which this
// process has made.
func frameLen(b []byte) int { return headerSize + int(binary.BigEndian.Uint32(b)) }

// setPrev puts the chain into a segment header's leaf, whose last field it is.
func setPrev(leaf []byte, c chain) {
	end := len(leaf) - len(`"}}`)
	hex.Encode(leaf[end-hex.EncodedLen(len(c)):end], c[:])
}

// seal completes the header of frame, whose leaf and length are in place.
func seal(frame []byte, c chain) {
	copy(frame[8:headerSize], c[:])
	binary.BigEndian.PutUint32(frame[4:], checksum(frame))
}

// checksum is the CRC of everything in frame but the CRC itself.
func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[8:])
}

// leafLen returns the length that the header of a frame announces, or false
// if it cannot be one.
func leafLen(header []byte) (int, bool) {
	n := binary.BigEndian.Uint32(header)
	return int(n), n >= uint32(minLeaf) && n <= maxLeaf
}

// open checks a whole frame by itself and returns its chain and its leaf's
// head.
func open(frame []byte) (c chain, h leafHead, ok bool) {
	if binary.BigEndian.Uint32(frame[4:]) != checksum(frame) {
		return c, h, false
	}
	h, err := parseHead(frame[headerSize:])
	copy(c[:], frame[8:headerSize])
	return c, h, err == nil
}
