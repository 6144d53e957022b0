//go:build !race

package audittest

// slow says that the race detector makes everything some ten times as slow.
const slow = false
