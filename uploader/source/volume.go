package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Volume is the file system that a root stands on.
type Volume struct {
	// Serial is the volume's serial number or UUID, in upper case; empty when the
	// system does not tell it, as for most network file systems.
	Serial string
	Label  string // the volume's name, if it is told
	Type   string // such as ntfs, exfat, vfat, ext4, cifs or nfs; empty: unknown
	Remote bool   // another computer holds it
	// Coarse says that times are local, in steps of 2 seconds, and that there is no
	// change time: the FAT family.
	Coarse bool
}

// Disk is a disk that is known. At least one of Serial and Marker is given.
type Disk struct {
	Name   string
	Serial string // as Volume.Serial
	// Marker is the name of a file at the top of the folder or of its volume. A
	// person puts it there; nothing here writes to a source.
	Marker string
}

// disk finds which of the known disks a root stands on. Without any known ones it
// has no name.
func (l Layout) disk() (string, error) {
	if len(l.Disks) == 0 {
		return "", nil
	}
	infos, _, err := resolve(l.Scan)
	if err != nil {
		return "", err
	}
	root, err := openRoot(infos[0].Resolved)
	if err != nil {
		return "", &RootError{infos[0].Path, unreadable(err)}
	}
	volume := root.volume()
	root.close()
	for _, d := range l.Disks {
		if d.is(volume, infos[0].Resolved) {
			return d.Name, nil
		}
	}
	return "", &RootError{infos[0].Path, ErrDisk}
}

// is reports whether everything that is known of a disk holds for a volume.
func (d Disk) is(v Volume, folder string) bool {
	if d.Serial == "" && d.Marker == "" {
		return false
	}
	if d.Serial != "" && !strings.EqualFold(plainSerial(d.Serial), plainSerial(v.Serial)) {
		return false
	}
	return d.Marker == "" || marked(folder, d.Marker)
}

// plainSerial leaves out what programs write differently.
func plainSerial(s string) string { return strings.ReplaceAll(s, "-", "") }

// marked reports whether a marker stands in a folder or at the top of its volume.
func marked(folder, marker string) bool {
	if marker != filepath.Base(marker) {
		return false
	}
	return slices.ContainsFunc([]string{folder, volumeTop(folder)}, func(dir string) bool {
		st, err := os.Lstat(filepath.Join(dir, marker))
		return err == nil && st.Mode().IsRegular()
	})
}

// coarse are the file systems of the FAT family.
var coarse = []string{"fat", "fat12", "fat16", "fat32", "vfat", "msdos", "exfat"}

// remote are file systems that another computer holds.
var remote = []string{"cifs", "smb2", "smb3", "smbfs", "nfs", "nfs4", "afpfs", "webdav", "fuse.sshfs", "9p"}

// typed fills what follows from the type.
func (v *Volume) typed() {
	v.Type = strings.ToLower(v.Type)
	v.Serial = strings.ToUpper(v.Serial)
	v.Coarse = slices.Contains(coarse, v.Type)
	v.Remote = v.Remote || slices.Contains(remote, v.Type)
}
