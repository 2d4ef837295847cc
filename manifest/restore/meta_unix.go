//go:build unix

package restore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readOnlyAttr is the Windows attribute that has a counterpart here.
const readOnlyAttr = 0x1

// privileged reports whether owners can be restored.
func privileged() bool { return os.Geteuid() == 0 }

// finalMode is the mode that an entry gets. Setuid and setgid bits come back only
// with the owner that they were given by.
func finalMode(e *Entry, owned bool, usual fs.FileMode) fs.FileMode {
	if e.Owner == nil && e.Mode == 0 { // from Windows
		if e.Attrs&readOnlyAttr != 0 && usual == fileMode {
			return 0o400
		}
		return usual
	}
	m := fs.FileMode(e.Mode) & fs.ModePerm
	if e.Mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	if owned && e.Mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if owned && e.Mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	return m
}

// dressFile gives an open, complete file its owner and mode. plain says that the
// owner was not taken.
func dressFile(f *os.File, e *Entry) (plain bool, err error) {
	owned := false
	if e.Owner != nil && privileged() {
		owned = f.Chown(int(e.Owner.UID), int(e.Owner.GID)) == nil
		plain = !owned
	}
	mode := finalMode(e, owned, fileMode)
	if mode == fileMode {
		return plain, nil // as it was made
	}
	return plain, ignoreUnsupported(f.Chmod(mode))
}

// dressFolder gives a folder its owner, mode and time.
func dressFolder(root *os.Root, e *Entry) (plain bool, err error) {
	owned := false
	if e.Owner != nil && privileged() {
		owned = root.Chown(".", int(e.Owner.UID), int(e.Owner.GID)) == nil
		plain = !owned
	}
	mtime := time.Unix(0, e.Mtime)
	if err := root.Chtimes(".", mtime, mtime); err != nil {
		return plain, err
	}
	return plain, ignoreUnsupported(root.Chmod(".", finalMode(e, owned, folderMode)))
}

// dressLink gives a link its owner and time.
func dressLink(folder *os.Root, name string, e *Entry) {
	if e.Owner != nil && privileged() {
		_ = folder.Lchown(name, int(e.Owner.UID), int(e.Owner.GID))
	}
	d, err := folder.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	ts := unix.NsecToTimespec(e.Mtime)
	// A link's own time is a nicety that not every file system keeps.
	_ = unix.UtimesNanoAt(int(d.Fd()), name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// setTime sets the time of a file that was just written; nothing is written to it after.
func setTime(folder *os.Root, name string, e *Entry) error {
	mtime := time.Unix(0, e.Mtime)
	return folder.Chtimes(name, mtime, mtime)
}

// ignoreUnsupported forgives file systems without modes, as FAT is one.
func ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP) {
		return nil
	}
	return err
}

// makeSparse prepares a file for holes; here every file is.
func makeSparse(*os.File) {}

// fatal reports whether writing anything more is of no use: the disk is full or
// gone, or this process has no more files to open.
func fatal(err error) bool {
	for _, no := range [...]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.ENODEV, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
