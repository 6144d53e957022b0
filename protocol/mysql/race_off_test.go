//go:build !race

package mysql

// raceDetector says that this test binary runs under the race detector.
const raceDetector = false
