package source

import (
	"fmt"
	"path/filepath"

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
