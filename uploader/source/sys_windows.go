package source

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"offsite/uploader/source/internal/ntdir"
)

// listingBytes is the buffer for one call that lists a folder. Servers refuse
// more than 64 KiB at a time.
const listingBytes = 64 << 10

// rootFolder is an open root. Package os opens everything below it relative to
// its handle, which also lifts the limit of 260 characters, and it is opened
// with all sharing allowed, so that a reader never stops the writer.
type rootFolder struct {
	root *os.Root
	info Entry
}

func openRoot(path string) (*rootFolder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	r := &rootFolder{root: root}
	f, err := root.Open(".")
	if err == nil {
		r.info, err = describe(f)
		_ = f.Close()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rootFolder) close() { _ = r.root.Close() }

// self returns the root's own entry under the given path.
func (r *rootFolder) self(path string) Entry {
	e := r.info
	e.Path = path
	return e
}

// list yields what stands in the folder at path, in no order, until yield is
// false. One call returns names, sizes, times and file ids together, so nothing
// has to be opened; the buffer holds 64-bit numbers and is aligned for them.
func (r *rootFolder) list(path string, yield func(name string, e Entry) bool) error {
	if err := r.noLinks(path); err != nil {
		return err
	}
	dir, err := r.root.Open(local(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	handle := windows.Handle(dir.Fd())
	var by windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(handle, &by); err != nil {
		by.VolumeSerialNumber = 0
	}
	words := make([]uint64, listingBytes/8)
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), listingBytes)
	ids := true
	class := uint32(windows.FileIdBothDirectoryRestartInfo)
	for {
		clear(buf)
		err := windows.GetFileInformationByHandleEx(handle, class, &buf[0], listingBytes)
		switch {
		case err == nil:
		case errors.Is(err, windows.ERROR_NO_MORE_FILES):
			return nil
		case first(class) && errors.Is(err, windows.ERROR_FILE_NOT_FOUND):
			return nil // how some drivers answer for an empty volume
		case class == windows.FileIdBothDirectoryRestartInfo && noIDs(err):
			ids, class = false, windows.FileFullDirectoryRestartInfo
			continue
		default:
			return err
		}
		switch class {
		case windows.FileIdBothDirectoryRestartInfo:
			class = windows.FileIdBothDirectoryInfo
		case windows.FileFullDirectoryRestartInfo:
			class = windows.FileFullDirectoryInfo
		}
		more := true
		err = ntdir.Parse(buf, ids, func(i ntdir.Info) bool {
			more = yield(i.Name, r.entry(path, i, by.VolumeSerialNumber))
			return more
		})
		if err != nil || !more {
			return err
		}
	}
}

func first(class uint32) bool {
	return class == windows.FileIdBothDirectoryRestartInfo || class == windows.FileFullDirectoryRestartInfo
}

// noIDs reports an answer of a file system that has no file ids.
func noIDs(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_PARAMETER) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) ||
		errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_INVALID_LEVEL)
}

func (r *rootFolder) entry(folder string, i ntdir.Info, volume uint32) Entry {
	e := Entry{ModTime: i.ModTime, ChangeTime: i.ChangeTime, Attributes: i.Attributes, Type: kind(i)}
	if i.ID != 0 && volume != 0 {
		e.ID = FileID{uint64(volume), i.ID}
	}
	switch e.Type {
	case TypeFile:
		e.Size = i.Size
	case TypeSymlink:
		path := i.Name
		if folder != "" {
			path = folder + "/" + i.Name
		}
		target, err := r.root.Readlink(local(path))
		e.LinkTarget, e.Err = target, bare(err)
	}
	return e
}

func kind(i ntdir.Info) Type {
	switch i.Kind() {
	case ntdir.Folder:
		return TypeDir
	case ntdir.Regular:
		return TypeFile
	case ntdir.Link:
		return TypeSymlink
	}
	return TypeOther
}

// openFile opens a file for reading. A link that comes in between the check and
// the opening is found by the caller, who compares the file id.
func (r *rootFolder) openFile(path string) (*os.File, error) {
	if err := r.noLinks(path); err != nil {
		return nil, err
	}
	return r.root.Open(local(path))
}

// noLinks refuses a path of which any segment is a link, because os.Root follows
// links that stay inside the root.
func (r *rootFolder) noLinks(path string) error {
	for i := range len(path) + 1 {
		if i < len(path) && path[i] != '/' || i == 0 {
			continue
		}
		st, err := r.root.Lstat(local(path[:i]))
		if err != nil {
			return err
		}
		if st.Mode()&os.ModeSymlink != 0 || i < len(path) && !st.IsDir() {
			return ErrChanged
		}
	}
	return nil
}

func local(path string) string {
	if path == "" {
		return "."
	}
	return filepath.FromSlash(strings.TrimSuffix(path, "/"))
}

// describe fills an entry from an open file.
func describe(f *os.File) (Entry, error) {
	handle := windows.Handle(f.Fd())
	var by windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(handle, &by); err != nil {
		return Entry{}, err
	}
	i := ntdir.Info{
		Size:       int64(by.FileSizeHigh)<<32 | int64(by.FileSizeLow),
		ModTime:    ntdir.Nanos(int64(by.LastWriteTime.HighDateTime)<<32 | int64(by.LastWriteTime.LowDateTime)),
		Attributes: by.FileAttributes,
		ID:         uint64(by.FileIndexHigh)<<32 | uint64(by.FileIndexLow),
	}
	// FILE_BASIC_INFO: four times and the attributes, padded to 40 bytes. The
	// fourth is the change time.
	var basic [5]uint64
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&basic[0])), 40)
	if err := windows.GetFileInformationByHandleEx(handle, windows.FileBasicInfo, &raw[0], 40); err == nil {
		i.ChangeTime = ntdir.Nanos(int64(binary.LittleEndian.Uint64(raw[24:])))
	}
	// A reparse point was opened through its own driver, so this is the data
	// behind it: not a link any more.
	i.Attributes &^= ntdir.AttributeReparsePoint
	e := Entry{ModTime: i.ModTime, ChangeTime: i.ChangeTime, Attributes: by.FileAttributes, Type: kind(i)}
	if e.Type == TypeFile {
		e.Size = i.Size
	}
	if i.ID != 0 && by.VolumeSerialNumber != 0 {
		e.ID = FileID{uint64(by.VolumeSerialNumber), i.ID}
	}
	return e, nil
}
