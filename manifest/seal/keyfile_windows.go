package seal

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// keyFileAccess grants full access to the system, to administrators and to the
// owner, and inherits nothing from the folder. The service runs as the system.
const keyFileAccess = "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;OW)"

func createPrivate(path string) (*os.File, error) {
	sd, err := windows.SecurityDescriptorFromString(keyFileAccess)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	sa := windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(sa))
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, &sa, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// checkPrivate cannot tell from a mode; WriteKeyFile set the access list.
func checkPrivate(string, fs.FileInfo) error { return nil }

// syncFolder: NTFS journals the new name, and folders cannot be flushed.
func syncFolder(string) error { return nil }
