// Package audit keeps the evidence: who asked for what, with which tool, what
// was decided and what came back.
//
// A [Journal] is a directory of append-only segment files. Open one with
// [Open] and give it to middleware.Record, which is all that a gateway needs.
// [Events] and [Tail] read a journal, [Verify] checks one; both work on a live
// journal as well as on a copy of its directory, and change nothing.
//
// # What a record is worth
//
// [Journal.Record] only puts an event into memory. [Journal.Flush] returns
// when it is in the kernel, so that it survives the death of the process;
// [Journal.Sync] returns when it is on stable storage, so that it survives the
// death of the machine. On Linux the memory is shared with the file "pending",
// so what is recorded is in the kernel already; within 100 ms it is written to
// a segment. If the process dies before that, the next Open does it, and
// readers look into the file until then: a copy of the directory has to
// include it. Elsewhere, and where a file system cannot map files, a write
// covers everything that waits. Callers share writes and fsyncs. The first failed write or fsync ends the
// journal's use: after a failed fsync the kernel may have dropped the pages, so
// trying again on the same file would promise what nobody knows.
//
// An operation that may change anything has an event that says what was
// decided, which is safe before the operation is sent, and one that says how
// it ended. One that is proven to change nothing has a single event for both,
// unless it takes long or shows a result before it ends: see
// [Journal.Postpone]. A reader who wants to know what was decided looks at
// Decision, not at the kind of event.
//
// # The format
//
// A segment is a sequence of frames: length (4 bytes, big endian), CRC-32C
// over length, chain and leaf (4 bytes), chain (32 bytes), leaf. The leaf is
// one JSON object, an [Event]; its exact bytes are what is hashed, so nothing
// ever has to be brought into a canonical form. The chain is
//
//	chain(i) = SHA-256( chain(i-1) || SHA-256( 0x00 || leaf(i) ) )
//
// with 32 zero bytes before the first. The inner hash is the leaf hash of RFC
// 6962, so that a Merkle tree over the same leaves can share it. The first leaf
// of each segment, of kind audit.segment, names the journal, the segment and
// the chain before it. Leaves are numbered from 0 without holes.
//
// # What can be proven, and what cannot
//
// The CRC finds damage. The chain finds what the CRC does not: a leaf that was
// replaced, removed, repeated or moved with its CRC mended. Nothing that lies
// in one directory can prove that it was not rewritten from some point on, or
// cut off there, by somebody who can write to it. For that, a [Head] has to be
// kept elsewhere: [Verify] finds every change up to the newest Head that it is
// given. Without one, a cut looks like a crash, and [Report.Closed] is false.
//
// # Text
//
// JSON strings are Unicode; what clients send need not be. A text that is not
// valid UTF-8 stands in the journal as {"base64":"..."} in place of the string,
// and no byte is lost. [Text] reads both forms.
package audit
