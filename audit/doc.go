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
// cut off there, by somebody who can write to it and mends the chain as well.
//
// For that a journal has a key ([Options.Key]). Each second in which something
// was recorded it makes durable what there is, and signs a [Checkpoint] of it:
// the root of a Merkle tree of RFC 6962 over all leaves. [Trust.Verify] then
// finds every change that was made without the private key, offline, with the
// public one. Behind the newest checkpoint are the events of at most a second;
// of those, after a crash, the chain and the CRC are all there is. Whoever has
// the key can rewrite what nobody else has seen: keep checkpoints elsewhere, and
// what they cover is proven to be there, unchanged, and nothing to be missing
// between any two of them. [Prove] takes a single event out, for somebody who
// may not see the others.
//
// Somebody else can hold the key holder to that: what witnesses have cosigned
// (package witness, [Trust.Witnesses]) was not rewritten since. The key itself can
// be in an HSM or a key management service ([Options.Signer]); if it is changed,
// the last checkpoint of the one before stays beside the journal, and is held
// against it like the newest ([Options.OldKeys]).
//
// Segments that were moved away (package archive) leave their tiles here, so that
// what is left is still proven to be in its place ([Trust.Apart]), and together
// with the archive to be whole ([Trust.Archive]).
//
// A journal without a key has [Head]s, which do the same for what is before
// them and are worth what the place is in which they are kept. Without a Head or
// a Checkpoint, a cut looks like a crash, and [Report.Closed] is false.
//
// The checkpoint is the file "checkpoint" and the tree's tiles are below "tile",
// in the layout of c2sp.org/tlog-tiles; there are no entry bundles, because a
// leaf may be larger than they can hold and stands in its segment. What a power
// failure spoils of the tiles is made again from the leaves.
//
// Verifying a large journal takes minutes; with [Trust.Resume] it can be interrupted.
// The file is then believed to say what was read before, so it belongs to whoever
// verifies and is kept apart from the journal.
//
// # Recordings
//
// A recording of a terminal or a command is a file of its own ([Asciicast]), whose
// bytes are hashed into the journal chunk by chunk, each behind an fsync: at most
// five seconds or 1 MiB of it are not in the proof when a crash comes, and what is
// there plays to its last whole line. [Trust.Verify] checks all that are in
// [Trust.Recordings] or in the [Trust.Archive]; one that is bad, or in neither, does
// not keep others from it.
//
// # Questions
//
// An [Index] answers who did what, without being evidence: it is made from the
// journal beside its writing, and can be made again. Package sqlite keeps one in a
// file, package postgres one of all gateways of a fleet. [Query.Matches] says what
// a question means; package audittest tests an index by it. [Reader] answers over
// HTTP.
//
// A value is searched for by its first 1000 bytes and its hash: a pattern sees no more of
// a longer one. Words are looked for in the first 16 KiB of a statement with its
// arguments, and told apart by their first 64 bytes.
//
// # What is sealed
//
// Statements and arguments hold the data that the target keeps. With
// [Detail.Seal] they stand in the journal as ciphertext beside a commitment, and
// the key of each session is a small file below "sealed", encrypted with age to
// recipients that the gateway has only the public halves of ([Options.SealTo]). An
// [Unsealer] reads them. [Journal.Erase] removes a session's key, for retention
// or because a person asks: events, chain and proofs stay as they are, and an
// event says who erased what and why; [Journal.Hold] keeps it from happening.
// [Custody] lets people do so over HTTP, and end sessions.
// What is sealed is not in an index's words and cannot be searched for.
//
// # Text
//
// JSON strings are Unicode; what clients send need not be. A text that is not
// valid UTF-8 stands in the journal as {"base64":"..."} in place of the string,
// and no byte is lost. [Text] reads both forms.
package audit
