//go:build !race

package main

// raceDetector says whether the tests run under the race detector, which makes the
// heavy ones ten times slower and needs no more than a few of their cases.
const raceDetector = false
