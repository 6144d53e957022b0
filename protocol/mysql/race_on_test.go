//go:build race

package mysql

// RaceDetector says that this test binary runs under the race detector.
const RaceDetector = true
