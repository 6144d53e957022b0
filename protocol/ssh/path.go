package ssh

import (
	"path"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// whyRelative is said of a path whose begin only the target knows.
const whyRelative = "where a path leads that is not absolute is not known"

// clean returns a file's path as policy sees it: without "..", "." and doubled
// slashes, so that one file has one name. Links are the target's to know. A path
// that is not absolute begins in the account's home; clean reports whether it stays
// below.
func clean(name string) (string, bool) {
	name = path.Clean(name)
	return name, path.IsAbs(name) || name != ".." && !strings.HasPrefix(name, "../")
}

// addFiles adds the files of names to op.
func addFiles(op *protocol.Operation, access protocol.Access, names ...string) {
	for _, n := range names {
		n, ok := clean(n)
		if !ok {
			op.Access |= protocol.Opaque
			op.Why = whyRelative
		}
		op.Objects = append(op.Objects, protocol.Object{Kind: "file", Name: n, Access: access})
	}
}

// shortRsync are the short options that rsync's far end may have. Not among them
// are those that take a value, and s, with which the paths come later.
const shortRsync = "vlogDtprzuncWxHAXSIRmdkKLOJyPhqiNU8"

// plainRsync reports whether o is a group of them. Behind "e." stands what the
// client is capable of.
func plainRsync(o string) bool {
	letters, capable, e := strings.Cut(o[1:], "e.")
	return strings.Trim(letters, shortRsync) == "" && (!e || strings.Trim(capable, "LsfxCIvuiV0123456789.") == "")
}
