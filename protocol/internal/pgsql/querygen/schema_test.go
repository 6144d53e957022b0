package querygen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What follows from no mark is none: an average's digits have made one.
func TestShows(t *testing.T) {
	for value, want := range map[string]bool{
		"4.7000000000000000": false, "7391846250003.5": true, "-7391846250003": true, "item 3": false, "QZZ": true, "30211-01-04": true,
		"1515151515n2": false, "717a7171": true, "7a7a7a": true, "51515a": true, "7a5171": true,
	} {
		require.Equal(t, want, Shows([]byte(value)), value)
	}
}
