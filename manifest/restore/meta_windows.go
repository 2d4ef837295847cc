package restore

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// settable are the attributes that a file can be given by setting them.
const settable = windows.FILE_ATTRIBUTE_READONLY | windows.FILE_ATTRIBUTE_HIDDEN | windows.FILE_ATTRIBUTE_SYSTEM |
	windows.FILE_ATTRIBUTE_ARCHIVE | windows.FILE_ATTRIBUTE_NOT_CONTENT_INDEXED

type basicInfo struct {
	created, accessed, written, changed int64 // 0: as it is
	attributes                          uint32
	_                                   uint32
}

// dressFile gives an open, complete file its time and attributes.
func dressFile(f *os.File, e *Entry) (plain bool, err error) {
	written := windows.NsecToFiletime(e.Mtime)
	info := basicInfo{
		written:    int64(written.HighDateTime)<<32 | int64(written.LowDateTime),
		attributes: e.Attrs & settable,
	}
	info.accessed = info.written
	err = windows.SetFileInformationByHandle(windows.Handle(f.Fd()), windows.FileBasicInfo,
		(*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil && info.attributes != 0 { // a share that keeps none
		info.attributes, plain = 0, true
		err = windows.SetFileInformationByHandle(windows.Handle(f.Fd()), windows.FileBasicInfo,
			(*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	}
	return plain, err
}

// dressFolder gives a folder its time.
func dressFolder(root *os.Root, e *Entry) (plain bool, err error) {
	mtime := time.Unix(0, e.Mtime)
	return false, root.Chtimes(".", mtime, mtime)
}

// dressLink leaves a link as it is: it has no time of its own that anybody reads.
func dressLink(*os.Root, string, *Entry) {}

// setTime does nothing: dressFile did it.
func setTime(*os.Root, string, *Entry) error { return nil }

// makeSparse prepares a file for holes. A file system that has none fills them.
func makeSparse(f *os.File) {
	var n uint32
	_ = windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
}

// fatal reports whether writing anything more is of no use: the disk is full or
// gone, or this process has no more files to open.
func fatal(err error) bool {
	for _, no := range [...]syscall.Errno{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED,
		windows.ERROR_WRITE_PROTECT, windows.ERROR_NOT_READY, windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_NETNAME_DELETED, windows.ERROR_IO_DEVICE} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
