//go:build race

package simtest_test

// raceEnabled: the race detector makes everything ten times slower.
const raceEnabled = true
