package source

import (
	"errors"
	"io/fs"
	"os"
)

// What is wrong with a root or a source. Each comes wrapped in a *RootError.
var (
	ErrRootMissing    = errors.New("folder does not exist")
	ErrRootNotFolder  = errors.New("not a folder")
	ErrRootEmpty      = errors.New("folder is empty")
	ErrRootLink       = errors.New("folder is a link, and following it was not allowed")
	ErrRootUnreadable = errors.New("folder cannot be read")
	ErrRootOverlap    = errors.New("folder overlaps another folder of the same source")
	ErrRootName       = errors.New("name is empty, used twice or holds a slash")
	ErrLive           = errors.New("folder holds live data: name the folder that the backup is written to instead")
)

// What is wrong with the sets of a layout.
var (
	ErrNoSets   = errors.New("nothing in the folder looks like a backup")
	ErrNoFull   = errors.New("increments stand there without the full backup that they belong to")
	ErrDisk     = errors.New("the disk is none of those that are known")
	ErrNoDay    = errors.New("no set of that day stands in the source")
	ErrOpen     = errors.New("files are held open for writing")
	ErrRestless = errors.New("files change all the time and nothing is added")
)

// What can happen to a file between the listing and the end of reading it.
var (
	ErrNoSet      = errors.New("set was not made by a scan")
	ErrNotListed  = errors.New("path is not in the set")
	ErrNotRegular = errors.New("not a regular file")
	ErrChanged    = errors.New("file changed since it was listed")
)

// ErrNotSettled is what Wait returns when the set was still changing at the end
// of its limit or when the context ended.
var ErrNotSettled = errors.New("source has not settled")

// ErrTooLarge is a source with more entries than MaxEntries.
var ErrTooLarge = errors.New("source has too many entries")

// RootError says which root is meant. Roots come from the configuration, so
// their paths may be logged.
type RootError struct {
	Path string
	Err  error
}

func (e *RootError) Error() string { return "open source " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *RootError) Unwrap() error { return e.Err }

// FileError is a file of a source that could not be opened or read. Its text
// leaves the name out on purpose; Path is for the console.
type FileError struct {
	Op   string
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Op + " source file: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// bare takes the path out of an error of package os.
func bare(err error) error {
	for {
		var pe *fs.PathError
		var le *os.LinkError
		var se *os.SyscallError
		switch {
		case errors.As(err, &pe):
			err = pe.Err
		case errors.As(err, &le):
			err = le.Err
		case errors.As(err, &se):
			err = se.Err
		default:
			return err
		}
	}
}
