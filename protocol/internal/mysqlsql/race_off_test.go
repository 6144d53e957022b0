//go:build !race

package mysqlsql

// RaceDetector says that this test binary runs under the race detector.
const RaceDetector = false
