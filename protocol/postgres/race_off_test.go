//go:build !race

package postgres

// raceDetector says that this test binary runs under the race detector.
const raceDetector = false
