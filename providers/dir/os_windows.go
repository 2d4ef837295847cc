package dir

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func oneOf(err error, list ...windows.Errno) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func noSpace(err error) bool {
	return oneOf(err, windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED, windows.ERROR_FILE_TOO_LARGE)
}

func readOnly(err error) bool { return oneOf(err, windows.ERROR_WRITE_PROTECT) }

func inputOutput(err error) bool { return oneOf(err, windows.ERROR_CRC, windows.ERROR_IO_DEVICE) }

// briefly is what virus scanners and indexers cause by holding a file open.
func briefly(err error) bool {
	return oneOf(err, windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_BUSY)
}

// noLinks: FAT and exFAT say "invalid function", shares "not supported".
func noLinks(err error) bool {
	return oneOf(err, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED, windows.ERROR_TOO_MANY_LINKS, windows.ERROR_CALL_NOT_IMPLEMENTED)
}

func heldByScanner(err error) bool { return oneOf(err, windows.ERROR_ACCESS_DENIED) }

// syncDir does nothing: Windows syncs no folders. NTFS journals its names.
func syncDir(*os.Root, string) error { return nil }

func syncParent(string) error { return nil }

// tryLock takes the lock of f without waiting. ok is false when another handle
// holds it.
func tryLock(f *os.File, exclusive bool) (ok bool, err error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	err = conn.Control(func(h uintptr) {
		lockErr = windows.LockFileEx(windows.Handle(h), flags, 0, 1, 0, new(windows.Overlapped))
	})
	switch {
	case err != nil:
		return false, err
	case lockErr == nil:
		return true, nil
	case oneOf(lockErr, windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING):
		return false, nil
	case oneOf(lockErr, windows.ERROR_NOT_SUPPORTED, windows.ERROR_INVALID_FUNCTION):
		return true, nil
	}
	return false, lockErr
}
