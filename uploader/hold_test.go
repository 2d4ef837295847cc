//go:build unix && !linux

package uploader_test

import (
	"os"
	"testing"
)

// hold makes a file unreadable until it is released.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("nothing is unreadable for root")
	}
	check(t, os.Chmod(path, 0))
	return func() { check(t, os.Chmod(path, 0o644)) }
}
