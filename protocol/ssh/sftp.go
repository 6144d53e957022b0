package ssh

import (
	"encoding/binary"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// Message types of SFTP version 3 (draft-ietf-secsh-filexfer-02), the version
// that OpenSSH speaks.
const (
	fxpInit          = 1
	fxpVersion       = 2
	fxpOpen          = 3
	fxpClose         = 4
	fxpRead          = 5
	fxpWrite         = 6
	fxpLstat         = 7
	fxpFstat         = 8
	fxpSetstat       = 9
	fxpFsetstat      = 10
	fxpOpendir       = 11
	fxpReaddir       = 12
	fxpRemove        = 13
	fxpMkdir         = 14
	fxpRmdir         = 15
	fxpRealpath      = 16
	fxpStat          = 17
	fxpRename        = 18
	fxpReadlink      = 19
	fxpSymlink       = 20
	fxpStatus        = 101
	fxpHandle        = 102
	fxpData          = 103
	fxpName          = 104
	fxpAttrs         = 105
	fxpExtended      = 200
	fxpExtendedReply = 201
)

// Flags of fxpOpen that can change something.
const fxfChanges = 0x02 | 0x04 | 0x08 | 0x10 | 0x20 // write, append, create, truncate, exclusive

// Codes of fxpStatus.
const (
	fxOK               = 0
	fxEOF              = 1
	fxPermissionDenied = 3
	fxUnsupported      = 8
)

// sftpVersion is the version that is spoken, whatever a client offers.
const sftpVersion = 3

const (
	// maxSFTP bounds a message: OpenSSH's own limit, which no client exceeds.
	maxSFTP = 256 << 10
	// maxPath bounds a path; Linux has 4 KiB, Windows 64.
	maxPath = 64 << 10
	// maxPendingSFTP bounds the requests that are not answered yet. OpenSSH has
	// 64 of them, fast clients some hundred.
	maxPendingSFTP = 4096
	// maxHandles bounds the files and directories that are open at once.
	maxHandles = 1024
)

// The verbs of files, by what SFTP calls them.
const (
	OpenFile   protocol.Verb = "open"
	ListDir    protocol.Verb = "list"
	StatFile   protocol.Verb = "stat"
	SetStat    protocol.Verb = "setstat"
	RemoveFile protocol.Verb = "remove"
	MakeDir    protocol.Verb = "mkdir"
	RemoveDir  protocol.Verb = "rmdir"
	RenameFile protocol.Verb = "rename"
	ReadLink   protocol.Verb = "readlink"
	MakeLink   protocol.Verb = "link"
	CopyFile   protocol.Verb = "copy"
)

// An sftp looks into a file transfer: what names a file is an operation, what
// uses a handle is part of the one that opened it.
type sftp struct {
	c *channel

	told int // refusals written to the error stream

	mu      sync.Mutex
	pending map[uint32]*request
	handles map[string]*file
	ready   bool   // the client has greeted; asking side only
	version []byte // how the target has answered; answering side only

	homeKnown chan struct{} // closed when it has been asked for
	homeOnce  sync.Once
	home      string // where paths begin that are not absolute; "": the target does not say
}

// homeID is the number of the gateway's own request, which is answered before
// clients hear the target's greeting and so before they have requests.
const homeID = 0x73616c79

// A request waits for its answer.
type request struct {
	typ  byte
	x    *protocol.Exchange // its own operation, nil if it is part of another's
	open *file              // what the operation opens
	file *file              // whose handle it uses
	at   uint64             // of a read or write
	size uint32
}

// A file is an open file or directory.
type file struct {
	x        *protocol.Exchange
	path     string
	in, out  atomic.Int64 // bytes written and read
	mu       sync.Mutex
	sum      *fileSum // of what went through, nil once it was not in order; under mu
	next     uint64   // the offset that follows in order; under mu
	reading  bool
	writing  bool
	complete bool // read up to the end
}

func newSFTP(c *channel) *sftp {
	return &sftp{c: c, pending: map[uint32]*request{}, handles: map[string]*file{}, homeKnown: make(chan struct{})}
}

func badSFTP(side protocol.Side, what string) error {
	return &protocol.Fault{Side: side, Msg: "the file transfer broke the protocol: " + what}
}

// A fields reads the fields of a message.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) take(n int) []byte {
	if f.bad || n < 0 || n > len(f.b) {
		f.bad = true
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) u32() uint32 {
	if b := f.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f *fields) u64() uint64 {
	if b := f.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (f *fields) str() string {
	n := f.u32()
	if n > maxSFTP {
		f.bad = true
		return ""
	}
	return string(f.take(int(n)))
}

// path returns a path. One with a NUL would be another for a target in C.
func (f *fields) path() string {
	s := f.str()
	f.bad = f.bad || len(s) > maxPath || strings.Contains(s, "\x00")
	return s
}

// requests reads the client's messages, asks about what they name and passes on
// what is allowed.
func (s *sftp) requests(src io.Reader, dst io.Writer) error {
	m := newMessages(src, dst.Write, protocol.SideClient)
	return m.each(func(msg []byte) error {
		if msg[4] != fxpRead && msg[4] != fxpWrite { // it may be held
			if err := m.flush(); err != nil {
				return err
			}
		}
		if pass, err := s.asked(msg); err != nil || !pass {
			return err
		}
		m.pass()
		if msg[4] != fxpInit {
			return nil
		}
		home := []byte{0, 0, 0, 10, fxpRealpath} // of the gateway itself
		home = binary.BigEndian.AppendUint32(home, homeID)
		return m.write(append(home, 0, 0, 0, 1, '.'))
	})
}

// asked looks at one message of the client. It reports whether it is to be
// passed on; an error ends the transfer.
func (s *sftp) asked(msg []byte) (bool, error) {
	typ, f := msg[4], &fields{b: msg[5:]}
	if typ == fxpInit {
		if s.ready {
			return false, badSFTP(protocol.SideClient, "a second greeting")
		}
		if f.u32() < sftpVersion || f.bad {
			return false, badSFTP(protocol.SideClient, "a version before 3")
		}
		binary.BigEndian.PutUint32(msg[5:], sftpVersion) // later ones name and open files in another form
		s.ready = true
		return true, nil
	}
	id := f.u32()
	if f.bad || !s.ready {
		return false, badSFTP(protocol.SideClient, "a malformed message")
	}
	<-s.homeKnown // a client has no requests before it has heard the target's greeting
	q := &request{typ: typ}
	var op *protocol.Operation
	switch typ {
	case fxpClose, fxpRead, fxpWrite, fxpFstat, fxpFsetstat, fxpReaddir:
		handle := f.str()
		switch typ {
		case fxpRead:
			q.at, q.size = f.u64(), f.u32()
		case fxpWrite:
			q.at, q.size = f.u64(), f.u32()
			if int(q.size) != len(f.b) {
				f.bad = true
			}
		}
		if f.bad {
			return false, badSFTP(protocol.SideClient, "a malformed message")
		}
		s.mu.Lock()
		q.file = s.handles[handle]
		if typ == fxpClose {
			delete(s.handles, handle) // no request behind this one may use it
		}
		s.mu.Unlock()
		switch {
		case q.file == nil:
			return false, s.answer(id, fxPermissionDenied, "sallyport: no such handle")
		case typ == fxpWrite && !q.file.writing || typ == fxpRead && q.file.writing && !q.file.reading || typ == fxpFsetstat && !q.file.writing && !q.file.reading:
			return false, s.answer(id, fxPermissionDenied, "sallyport: not opened for that")
		case typ == fxpFsetstat && !q.file.writing: // attributes of a file that was opened for reading
			op = s.operation(SetStat, protocol.Write, q.file.path)
		case typ == fxpWrite:
			q.file.wrote(q.at, f.b)
		}
	default:
		if op = s.names(typ, f, q); f.bad {
			return false, badSFTP(protocol.SideClient, "a malformed message")
		}
		if op == nil {
			return false, s.answer(id, fxUnsupported, "sallyport: the gateway does not know this request")
		}
	}
	if op != nil {
		op.State = "sftp"
		op.Raw = [][]byte{msg[9:]}
		x, err := s.c.s.ps.Begin(s.c.asking, op)
		op.Raw = nil // the buffer is the next message's
		if err == nil && op.Rewritten() != "" {
			err = protocol.ErrFixed
			x.End(protocol.Outcome{Status: protocol.StatusError, Err: err})
		}
		if err != nil {
			return false, s.refuse(id, err)
		}
		q.x = x
		if q.open != nil {
			q.open.x = x
		}
		if typ == fxpOpen {
			q.open.sum = s.c.s.srv.FileHash.start()
		}
	}
	s.mu.Lock()
	_, twice := s.pending[id]
	full := len(s.pending) >= maxPendingSFTP || q.open != nil && len(s.handles) >= maxHandles
	if !twice && !full {
		s.pending[id] = q
	}
	s.mu.Unlock()
	if twice || full {
		if q.x != nil {
			q.x.End(protocol.Outcome{Status: protocol.StatusError})
		}
		if twice {
			return false, badSFTP(protocol.SideClient, "two requests of one number")
		}
		return false, s.answer(id, fxPermissionDenied, "sallyport: too many requests or open files at once")
	}
	return true, nil
}

// operation returns what is done with files. Its Text has the paths as the client
// sent them, its objects as clean and the home folder make them.
func (s *sftp) operation(verb protocol.Verb, access protocol.Access, paths ...string) *protocol.Operation {
	op := &protocol.Operation{Verb: verb, Text: string(verb) + " " + paths[0], Access: access, Bounded: true}
	for _, p := range paths {
		if climbs(p) || !path.IsAbs(p) && s.home == "" {
			op.Access |= protocol.Opaque
			op.Why = whyPath
		}
		if path.IsAbs(p) {
			p = path.Clean(p)
		} else {
			p = path.Join(s.home, p)
		}
		op.Objects = append(op.Objects, protocol.Object{Kind: "file", Name: p, Access: access})
	}
	if len(paths) > 1 {
		op.Text += " -> " + paths[1]
	}
	return op
}

// names returns the operation of a message that names a file; nil for one that
// the gateway does not know.
func (s *sftp) names(typ byte, f *fields, q *request) *protocol.Operation {
	read := func(verb protocol.Verb) *protocol.Operation {
		op := s.operation(verb, protocol.Read, f.path())
		op.Pure = true // looks at names and attributes
		return op
	}
	write := func(verb protocol.Verb) *protocol.Operation { return s.operation(verb, protocol.Write, f.path()) }
	switch typ {
	case fxpOpen:
		name, flags := f.path(), f.u32()
		access := protocol.Read
		q.open = &file{path: name, reading: flags&1 != 0}
		if flags&fxfChanges != 0 {
			access = protocol.Write
			if q.open.reading {
				access |= protocol.Read
			}
			q.open.writing = true
		}
		return s.operation(OpenFile, access, name)
	case fxpOpendir:
		op := read(ListDir)
		q.open = &file{path: op.Objects[0].Name}
		return op
	case fxpLstat, fxpStat:
		return read(StatFile)
	case fxpRealpath: // by which clients learn where a path leads
		op := read(StatFile)
		if s.home != "" {
			op.Access, op.Why = protocol.Read, ""
		}
		return op
	case fxpReadlink:
		return read(ReadLink)
	case fxpSetstat:
		return write(SetStat)
	case fxpRemove:
		return write(RemoveFile)
	case fxpMkdir:
		return write(MakeDir)
	case fxpRmdir:
		return write(RemoveDir)
	case fxpRename:
		return s.operation(RenameFile, protocol.Write, f.path(), f.path())
	case fxpSymlink: // OpenSSH sends the link's text first, which begins where the link is
		text, link := f.path(), f.path()
		op := s.operation(MakeLink, protocol.Write, text, link)
		if !path.IsAbs(text) {
			op.Objects[0].Name = path.Join(path.Dir(op.Objects[1].Name), text)
		}
		return op
	case fxpExtended:
		return s.extended(f)
	}
	return nil
}

// extended returns the operation of one of OpenSSH's extensions.
func (s *sftp) extended(f *fields) *protocol.Operation {
	pure := func(verb protocol.Verb, name string) *protocol.Operation {
		op := s.operation(verb, protocol.Read, name)
		op.Pure = true
		return op
	}
	switch f.str() {
	case "posix-rename@openssh.com":
		return s.operation(RenameFile, protocol.Write, f.path(), f.path())
	case "hardlink@openssh.com":
		return s.operation(MakeLink, protocol.Write, f.path(), f.path())
	case "lsetstat@openssh.com":
		return s.operation(SetStat, protocol.Write, f.path())
	case "statvfs@openssh.com", "expand-path@openssh.com":
		return pure(StatFile, f.path())
	case "limits@openssh.com", "users-groups-by-id@openssh.com": // about the server and its accounts
		return pure(StatFile, ".")
	case "copy-data":
		s.mu.Lock()
		from, _, _, to := s.handles[f.str()], f.u64(), f.u64(), s.handles[f.str()]
		s.mu.Unlock()
		if from == nil || to == nil || !from.reading || !to.writing {
			return nil
		}
		to.unseen()
		return s.operation(CopyFile, protocol.Read|protocol.Write, from.path, to.path)
	case "home-directory":
		return pure(StatFile, "~"+f.path())
	case "fsync@openssh.com", "fstatvfs@openssh.com":
		s.mu.Lock()
		h := s.handles[f.str()]
		s.mu.Unlock()
		if h == nil {
			return nil
		}
		return pure(StatFile, h.path)
	}
	return nil
}

// maxTold bounds the refusals of a transfer that are written to the error stream,
// which not every client reads.
const maxTold = 50

// refuse answers a request that was refused. Most clients show their own text
// for the code, so the reason goes to the error stream too.
func (s *sftp) refuse(id uint32, err error) error {
	s.c.s.note(err)
	text := refusal(err, "\n")
	if s.told++; s.told <= maxTold {
		_, _ = s.c.stderr.Write([]byte(text))
	}
	return s.answer(id, fxPermissionDenied, strings.TrimSuffix(text, "\n"))
}

// answer answers a request itself.
func (s *sftp) answer(id uint32, code uint32, msg string) error {
	b := make([]byte, 4, 64+len(msg))
	b = append(b, fxpStatus)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, code)
	b = binary.BigEndian.AppendUint32(b, uint32(len(msg)))
	b = append(b, msg...)
	b = binary.BigEndian.AppendUint32(b, 0) // no language
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err := s.write(s.c.stdout, b)
	return err
}

func (s *sftp) write(w io.Writer, b []byte) (int, error) {
	n, err := w.Write(b)
	s.c.bytes.Add(int64(n))
	return n, err
}

// replies passes the target's answers on and notes what they say.
func (s *sftp) replies(dst io.Writer, src io.Reader) error {
	defer s.homeOnce.Do(func() { close(s.homeKnown) })
	m := newMessages(src, func(b []byte) (int, error) { return s.write(dst, b) }, protocol.SideTarget)
	return m.each(func(msg []byte) error {
		if err := s.answered(msg); err != nil {
			return err
		}
		switch {
		case msg[4] == fxpVersion: // waits until the home folder is known
			return nil
		case s.atHome(msg):
			return m.write(s.version)
		}
		m.pass()
		return nil
	})
}

// answered looks at one message of the target.
func (s *sftp) answered(msg []byte) error {
	typ, f := msg[4], &fields{b: msg[5:]}
	if typ == fxpVersion {
		if v := f.u32(); f.bad || v != sftpVersion || s.version != nil {
			return badSFTP(protocol.SideTarget, "a version that was not asked for")
		}
		s.version = slices.Clone(msg)
		return nil
	}
	id := f.u32()
	if !s.homed() {
		if f.bad || id != homeID || s.version == nil {
			return badSFTP(protocol.SideTarget, "an answer that nobody waits for")
		}
		return nil
	}
	s.mu.Lock()
	q := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if f.bad || q == nil {
		return badSFTP(protocol.SideTarget, "an answer that nobody waits for")
	}
	code := uint32(fxOK)
	if typ == fxpStatus {
		code = f.u32()
	}
	switch {
	case typ == fxpHandle:
		handle := f.str()
		if f.bad || q.open == nil {
			return badSFTP(protocol.SideTarget, "a handle that nobody asked for")
		}
		s.mu.Lock()
		_, twice := s.handles[handle]
		if !twice {
			s.handles[handle] = q.open
		}
		s.mu.Unlock()
		if twice {
			return badSFTP(protocol.SideTarget, "a handle that is in use")
		}
		return nil // the operation ends when the file is closed
	case typ == fxpData && q.typ == fxpRead:
		n := f.u32()
		if f.bad || int(n) != len(f.b) || n > q.size {
			return badSFTP(protocol.SideTarget, "malformed data")
		}
		q.file.read(q.at, f.b)
	case q.typ == fxpRead && code == fxEOF:
		q.file.complete = true
	case q.typ == fxpClose:
		q.file.end(code)
	}
	if q.x != nil {
		q.x.End(outcome(code))
	}
	return nil
}

// homed reports whether the home folder has been asked for.
func (s *sftp) homed() bool {
	select {
	case <-s.homeKnown:
		return true
	default:
		return false
	}
}

// atHome reads the answer to the gateway's own request. It reports whether msg is
// that.
func (s *sftp) atHome(msg []byte) bool {
	if s.homed() {
		return false
	}
	f := &fields{b: msg[5:]}
	_, n, name := f.u32(), f.u32(), f.path()
	if msg[4] == fxpName && n == 1 && !f.bad && path.IsAbs(name) {
		s.home = path.Clean(name)
	}
	s.homeOnce.Do(func() { close(s.homeKnown) })
	return true
}

func outcome(code uint32) protocol.Outcome {
	if code != fxOK {
		return protocol.Outcome{Status: protocol.StatusFailed, Code: strconv.FormatUint(uint64(code), 10)}
	}
	return protocol.Outcome{Status: protocol.StatusOK}
}

// read notes what came from a file. Only the answering side calls it.
func (h *file) read(at uint64, b []byte) {
	h.out.Add(int64(len(b)))
	if !h.writing {
		h.hash(at, b)
	}
}

// wrote notes what goes to a file. Only the asking side calls it.
func (h *file) wrote(at uint64, b []byte) {
	h.in.Add(int64(len(b)))
	h.hash(at, b)
}

func (h *file) hash(at uint64, b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sum == nil {
		return
	}
	if at != h.next {
		h.sum = nil // not in order: there is no hash of the whole
		return
	}
	h.next += uint64(len(b))
	_, _ = h.sum.Write(b) // never fails
}

// end ends the operation that opened the file.
func (h *file) end(code uint32) {
	out := outcome(code)
	out.Bytes, out.BytesIn = h.out.Load(), h.in.Load()
	h.mu.Lock()
	if h.sum != nil && h.next > 0 && (h.writing || h.complete) { // all of it, from the start
		out.Tag = h.sum.tag()
	}
	h.mu.Unlock()
	h.x.End(out)
}

// unseen notes that something goes to the file that is not seen here.
func (h *file) unseen() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sum = nil
}

// end ends what is open when the channel is: what the target did not say is not
// known.
func (s *sftp) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.pending {
		if q.x != nil {
			q.x.End(protocol.Outcome{})
		}
	}
	for _, h := range s.handles {
		h.x.End(protocol.Outcome{Bytes: h.out.Load(), BytesIn: h.in.Load()})
	}
}
