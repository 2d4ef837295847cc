package source

import (
	"os"
	"time"
)

// The pauses before a file that another program keeps for itself is tried again,
// six seconds together. A scanner lets go by then; a program that writes does not.
const firstPause, lastPause = 100 * time.Millisecond, 3200 * time.Millisecond

// File is an open file of a Set. It is not safe for concurrent use, except
// ReadAt.
type File struct {
	f    *os.File
	path string
	was  Entry
}

// Open opens the regular file that e names. It follows no link below the root
// and returns an error that wraps ErrChanged when what it finds is not the file
// that was listed: another file, another size or another time.
func (s Set) Open(e Entry) (*File, error) {
	fail := func(err error) (*File, error) {
		return nil, &FileError{"open", e.Path, bare(err)}
	}
	info, rel, err := s.locate(e.Path)
	if err != nil {
		return fail(err)
	}
	listed, ok := s.Find(e.Path)
	if !ok {
		return fail(ErrNotListed)
	}
	if listed.Type != TypeFile {
		return fail(ErrNotRegular)
	}
	if listed.Err != nil {
		return fail(listed.Err)
	}
	root, err := openRoot(info.Resolved)
	if err != nil {
		return fail(err)
	}
	defer root.close()
	f, err := root.openFile(rel)
	for wait := firstPause; err != nil && kept(err) && s.d.opt.Pause != nil && wait <= lastPause; wait *= 2 {
		s.d.opt.Pause(wait)
		f, err = root.openFile(rel)
	}
	if err != nil {
		return fail(err)
	}
	file := &File{f, e.Path, listed}
	if err := file.compare(); err != nil {
		_ = f.Close()
		return fail(err)
	}
	return file, nil
}

// Read reads the next bytes.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.f.Read(p)
	return n, f.wrap("read", err)
}

// ReadAt reads at an offset.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	return n, f.wrap("read", err)
}

// Size returns the size that was listed.
func (f *File) Size() int64 { return f.was.Size }

// Close closes the file.
func (f *File) Close() error { return f.wrap("close", f.f.Close()) }

// Unchanged looks at the open file again and returns an error that wraps
// ErrChanged when its size, a time or its identity is not what was listed. It is
// for after the last byte was read: with nil, nothing wrote to the file since the
// listing that its file system would show.
func (f *File) Unchanged() error {
	if err := f.compare(); err != nil {
		return &FileError{"read", f.path, bare(err)}
	}
	return nil
}

func (f *File) compare() error {
	now, err := describe(f.f)
	if err != nil {
		return err
	}
	if now.Type != TypeFile {
		return ErrNotRegular
	}
	if !sameFile(f.was, now) {
		return ErrChanged
	}
	return nil
}

// sameFile compares what tells two states of a file apart. A file system that
// keeps no change time or no id gives zero, and zero says nothing.
func sameFile(a, b Entry) bool {
	return a.Size == b.Size && a.ModTime == b.ModTime &&
		(a.ChangeTime == b.ChangeTime || a.ChangeTime == 0 || b.ChangeTime == 0) &&
		(a.ID == b.ID || a.ID == FileID{} || b.ID == FileID{})
}

// wrap keeps io.EOF and nil as they are and takes the path out of the rest.
func (f *File) wrap(op string, err error) error {
	switch bare(err) {
	case nil, err:
		return err
	}
	return &FileError{op, f.path, bare(err)}
}
