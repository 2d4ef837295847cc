package uploader_test

import (
	"testing"

	"golang.org/x/sys/windows"
)

// hold makes a file unreadable until it is released: it is open, and shared with nobody.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	check(t, err)
	h, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	check(t, err)
	return func() { check(t, windows.CloseHandle(h)) }
}
