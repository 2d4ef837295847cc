//go:build !race

package uploader_test

const thin = 1
