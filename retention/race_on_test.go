//go:build race

package retention_test

// thin is how many cases of a large table there are to one that is run. The race
// detector makes each ten times slower and needs no more than a few.
const thin = 4
