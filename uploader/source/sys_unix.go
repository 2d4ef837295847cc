//go:build unix

package source

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// nameBatch is how many names are read from a folder at a time.
const nameBatch = 1024

// rootFolder is an open root. Everything below is reached from its descriptor,
// segment by segment and never through a link, so that neither a link nor the
// length of a path leads elsewhere.
type rootFolder struct {
	fd   int
	info Entry
}

func openRoot(path string) (*rootFolder, error) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_DIRECTORY|noAtime)
	if err != nil {
		return nil, err
	}
	r := &rootFolder{fd: fd}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		r.close()
		return nil, err
	}
	fill(&r.info, &st)
	return r, nil
}

func (r *rootFolder) close() { _ = unix.Close(r.fd) }

// self returns the root's own entry under the given path.
func (r *rootFolder) self(path string) Entry {
	e := r.info
	e.Path = path
	return e
}

// list yields what stands in the folder at path, in no order, until yield is
// false. Something that went away while the folder was read is left out.
func (r *rootFolder) list(path string, yield func(name string, e Entry) bool) error {
	fd, err := r.open(path, unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), "")
	defer func() { _ = dir.Close() }()
	for {
		names, err := dir.Readdirnames(nameBatch)
		for _, name := range names {
			e, err := look(fd, name)
			if err != nil {
				continue
			}
			if !yield(name, e) {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// look describes one name in an open folder. Its only error is that the name is
// gone; anything else becomes part of the entry.
func look(fd int, name string) (Entry, error) {
	var e Entry
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if errors.Is(err, unix.ENOENT) {
		return e, err
	}
	if err != nil {
		e.Err = err
		return e, nil
	}
	fill(&e, &st)
	if e.Type == TypeSymlink {
		e.LinkTarget, e.Err = readLink(fd, name)
	}
	return e, nil
}

func readLink(fd int, name string) (string, error) {
	buf := make([]byte, 256)
	for {
		var n int
		err := retry(func() (err error) { n, err = unix.Readlinkat(fd, name, buf); return err })
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		if len(buf) > 1<<20 {
			return "", errors.New("link text is too long")
		}
		buf = make([]byte, 4*len(buf))
	}
}

// openFile opens a file for reading. O_NONBLOCK keeps it from waiting for ever
// when the file was swapped for a pipe; the caller looks at what it got.
func (r *rootFolder) openFile(path string) (*os.File, error) {
	fd, err := r.open(path, unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), ""), nil
}

// open opens path for reading without following any link.
func (r *rootFolder) open(path string, flags int) (int, error) {
	at := r.fd
	for {
		name, rest, more := strings.Cut(path, "/")
		if !more {
			if name == "" {
				name = "."
			}
			fd, err := openAt(at, name, flags|noAtime)
			r.leave(at)
			return fd, err
		}
		next, err := openAt(at, name, unix.O_DIRECTORY|passThrough)
		r.leave(at)
		if err != nil {
			return -1, err
		}
		at, path = next, rest
	}
}

func (r *rootFolder) leave(fd int) {
	if fd != r.fd {
		_ = unix.Close(fd)
	}
}

func openAt(at int, name string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC
	if at != unix.AT_FDCWD {
		flags |= unix.O_NOFOLLOW
	}
	var fd int
	open := func() (err error) { fd, err = unix.Openat(at, name, flags, 0); return err }
	err := retry(open)
	if err == unix.EPERM && flags&noAtime != 0 {
		flags &^= noAtime
		err = retry(open)
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// retry repeats a call that a signal interrupted, which happens on network and
// user-space file systems.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// describe fills an entry from an open file.
func describe(f *os.File) (Entry, error) {
	var e Entry
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		return e, fmt.Errorf("look at open file: %w", err)
	}
	fill(&e, &st)
	return e, nil
}

func fill(e *Entry, st *unix.Stat_t) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e.Type = TypeDir
	case unix.S_IFREG:
		e.Type, e.Size = TypeFile, st.Size
	case unix.S_IFLNK:
		e.Type = TypeSymlink
	default:
		e.Type = TypeOther
	}
	e.ModTime = nanos(st.Mtim.Unix())
	e.ChangeTime = nanos(st.Ctim.Unix())
	e.ID = FileID{uint64(st.Dev), uint64(st.Ino)}
	e.Mode = uint32(st.Mode) & 0o7777
	e.UID, e.GID = st.Uid, st.Gid
}

// nanos joins seconds and nanoseconds and moves what does not fit to the nearer end.
func nanos(sec, nsec int64) int64 {
	const limit = math.MaxInt64 / int64(time.Second)
	switch {
	case sec >= limit:
		return math.MaxInt64
	case sec <= -limit:
		return math.MinInt64
	}
	return sec*int64(time.Second) + nsec
}
