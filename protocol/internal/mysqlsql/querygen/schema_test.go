package querygen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What follows from no mark is none: a padding of 15 has made hexadecimal ones.
func TestShows(t *testing.T) {
	for value, want := range map[string]bool{
		"1515151515n2": false, "7391846250003.5": true, "item 3": false, "QZZ": true, "9021-01-04": true,
		"717A7171": true, "7a7a7a": true, "51515A": true, "7a5171": true,
	} {
		require.Equal(t, want, Shows([]byte(value)), value)
	}
}
