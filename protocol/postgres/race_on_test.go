//go:build race

package postgres

// RaceDetector says that this test binary runs under the race detector.
const RaceDetector = true
