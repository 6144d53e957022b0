package protocol

import "fmt"

// A Fault is a failure of one connection that no step decided. Side says whose
// it was.
type Fault struct {
	Side Side
	Code string // as the protocol has it, such as an SQLSTATE; may be empty
	Msg  string // shown to the client
	Hint string // what the client can do, shown to it; may be empty
	Err  error  // the cause, for the operator
}

// A Side is the party that a failure comes from.
type Side string

// The sides.
const (
	SideClient  Side = "client"
	SideTarget  Side = "target"
	SidePolicy  Side = "policy"
	SideGateway Side = "gateway"
)

// Error returns side, message and cause.
func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s: %v", f.Side, f.Msg, f.Err)
	}
	return fmt.Sprintf("%s: %s", f.Side, f.Msg)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }
