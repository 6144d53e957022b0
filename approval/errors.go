package approval

import "errors"

// Errors that callers of a [Broker] or a [Client] tell apart.
var (
	// ErrUnknown says that there is no such request, or no longer.
	ErrUnknown = errors.New("approval: no such request")
	// ErrEnded says that the request is not pending any more.
	ErrEnded = errors.New("approval: the request has already been decided, has expired or was withdrawn")
	// ErrDigest says that the vote was for something else than the request
	// asks: look at it again.
	ErrDigest = errors.New("approval: the digest is not this request's; look at the request again before you decide")
	// ErrVoted says that this person has already voted on this request.
	ErrVoted = errors.New("approval: you have already voted on this request, and another person is needed")
	// ErrLogin says that whoever wants to decide is not logged in, or not any
	// more.
	ErrLogin = errors.New("approval: log in to decide")
	// ErrComment says that the comment is longer than MaxComment.
	ErrComment = errors.New("approval: the comment is too long")
	// ErrTooMany says that too many requests are open, of this requester or
	// altogether.
	ErrTooMany = errors.New("approval: too many requests are waiting for a decision")
	// ErrTooOften says that too many requests of this requester came to nothing
	// within an hour.
	ErrTooOften = errors.New("approval: too many requests of this requester came to nothing")
	// ErrTooLarge says that a request is larger than people can be asked to
	// read.
	ErrTooLarge = errors.New("approval: the request is too large to be shown in full")
)

// A ForbiddenError says why somebody who is logged in may not decide about a
// request. Its Reason is for that person to read.
type ForbiddenError struct{ Reason string }

// Error returns the reason.
func (e *ForbiddenError) Error() string { return "approval: " + e.Reason }
