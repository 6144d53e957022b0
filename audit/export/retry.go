package export

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Retry returns err as a [RetryError] if the header of an HTTP answer says when
// to come again: Retry-After in seconds or as a date, RFC 9110, section 10.2.3.
func Retry(err error, h http.Header) error {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if n, perr := strconv.ParseUint(s, 10, 31); perr == nil {
		return &RetryError{err, time.Duration(n) * time.Second}
	}
	if t, perr := http.ParseTime(s); perr == nil {
		return &RetryError{err, time.Until(t)}
	}
	return err
}
