//go:build !race

package retention_test

const thin = 1
