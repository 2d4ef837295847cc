package uploader_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// hold makes a file unreadable until it is released, also for root: another open
// file has a lease on it, as a file server takes one, and whoever will not wait is refused.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		f.Close()
		t.Skipf("this file system gives no leases: %v", err)
	}
	return func() { check(t, f.Close()) }
}
