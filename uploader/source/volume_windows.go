package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// volume describes the file system of the root.
func (r *rootFolder) volume() Volume {
	f, err := r.root.Open(".")
	if err != nil {
		return Volume{}
	}
	defer func() { _ = f.Close() }()
	var label, kind [windows.MAX_PATH + 1]uint16
	var serial, longest, flags uint32
	err = windows.GetVolumeInformationByHandle(windows.Handle(f.Fd()), &label[0], uint32(len(label)), &serial, &longest, &flags, &kind[0], uint32(len(kind)))
	if err != nil {
		return Volume{}
	}
	v := Volume{Label: windows.UTF16ToString(label[:]), Type: windows.UTF16ToString(kind[:])}
	if serial != 0 {
		v.Serial = fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff)
	}
	if top, err := windows.UTF16PtrFromString(volumeTop(r.root.Name())); err == nil {
		v.Remote = windows.GetDriveType(top) == windows.DRIVE_REMOTE
	}
	v.typed()
	return v
}

// volumeTop is the top folder of the volume that a folder stands on.
func volumeTop(folder string) string { return filepath.VolumeName(folder) + `\` }

// spelled is a path in the one way that all names of a share have in common: with
// the share in place of a drive letter that stands for it, without the mark of a
// long path, and in lower case.
func spelled(path string) string {
	path = filepath.Clean(path)
	if rest, ok := strings.CutPrefix(path, `\\?\UNC\`); ok {
		path = `\\` + rest
	}
	path = strings.TrimPrefix(path, `\\?\`)
	if drive := filepath.VolumeName(path); len(drive) == 2 && drive[1] == ':' {
		if share := shareOf(drive); share != "" {
			path = share + path[len(drive):]
		}
	}
	return strings.ToLower(path)
}

// shareOf returns the share that a drive letter of this logon stands for.
func shareOf(drive string) string {
	call := windows.NewLazySystemDLL("mpr.dll").NewProc("WNetGetConnectionW")
	name, err := windows.UTF16PtrFromString(drive)
	if err != nil || call.Find() != nil {
		return ""
	}
	buf := make([]uint16, windows.MAX_LONG_PATH)
	size := uint32(len(buf))
	failed, _, _ := call.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)))
	if failed != 0 {
		return ""
	}
	return windows.UTF16ToString(buf)
}
