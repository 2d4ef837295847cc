//go:build !race

package azure_test

// faultRuns is how many runs each lane makes over its bad line: 200 in all.
const faultRuns = 25
