package ssh

import (
	"path"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// whyPath is said of a path of which only the target knows where it leads.
const whyPath = "where a path leads that is not absolute, or has .. behind a name, only the target knows"

// climbs reports whether ".." stands behind a name: that may be a link, and what
// lies above it is another folder then. /var/run/../log is /log on many systems.
func climbs(name string) bool {
	below := false
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if below {
				return true
			}
		default:
			below = true
		}
	}
	return false
}

// clean returns a file's path as policy sees it: without "..", "." and doubled
// slashes, so that one file has one name. Links are the target's to know. A path
// that is not absolute begins in the account's home; clean reports whether it stays
// below, and goes up from no name.
func clean(name string) (string, bool) {
	known := !climbs(name)
	name = path.Clean(name)
	return name, known && (path.IsAbs(name) || name != ".." && !strings.HasPrefix(name, "../"))
}

// addFiles adds the files of names to op.
func addFiles(op *protocol.Operation, access protocol.Access, names ...string) {
	for _, n := range names {
		n, ok := clean(n)
		if !ok {
			op.Access |= protocol.Opaque
			op.Why = whyPath
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
