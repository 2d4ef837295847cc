//go:build !windows

package dir

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

func readOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

func inputOutput(err error) bool { return errors.Is(err, syscall.EIO) }

// briefly is a shortage that passes: handles, locks, interrupted calls.
func briefly(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.EBUSY, syscall.ETXTBSY, syscall.EINTR, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// noLinks: the file system has no hard links (FAT says EPERM, shares say
// ENOTSUP) or has used them up. Should EPERM mean a refusal after all, the rename
// that follows is refused as well.
func noLinks(err error) bool {
	for _, e := range []syscall.Errno{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EMLINK, syscall.EXDEV} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func heldByScanner(error) bool { return false }

// syncDir puts the names in a folder on the disk. File systems that cannot sync
// a folder say EINVAL or ENOTSUP; nothing better can be done there.
func syncDir(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return syncClose(f)
}

// syncParent puts the name of the root itself on the disk.
func syncParent(path string) error {
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return syncClose(f)
}

func syncClose(f *os.File) error {
	defer f.Close()
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

// tryLock takes the advisory lock of f without waiting. ok is false when another
// process holds it. File systems without locks count as locked: the gate inside
// the process is then all there is.
func tryLock(f *os.File, exclusive bool) (ok bool, err error) {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), how|syscall.LOCK_NB) })
	if err != nil {
		return false, err
	}
	switch {
	case lockErr == nil:
		return true, nil
	case errors.Is(lockErr, syscall.EWOULDBLOCK):
		return false, nil
	case errors.Is(lockErr, syscall.ENOSYS), errors.Is(lockErr, syscall.ENOTSUP), errors.Is(lockErr, syscall.ENOLCK), errors.Is(lockErr, syscall.EINVAL):
		return true, nil
	}
	return false, lockErr
}
