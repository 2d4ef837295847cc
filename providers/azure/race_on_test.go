//go:build race

package azure_test

// faultRuns is how many runs each lane makes over its bad line: fewer under the race
// detector, which makes them four times dearer.
const faultRuns = 7
