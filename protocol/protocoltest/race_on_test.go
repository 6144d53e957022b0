//go:build race

package protocoltest

// raceDetector says that this test binary runs under the race detector.
const raceDetector = true
