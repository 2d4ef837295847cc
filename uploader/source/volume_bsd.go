//go:build unix && !linux

package source

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// volume describes the file system of the root. These systems tell a type and
// where it is mounted, but no serial number without asking the disk itself: known
// disks need a marker here.
func (r *rootFolder) volume() Volume {
	var st unix.Statfs_t
	if unix.Fstatfs(r.fd, &st) != nil {
		return Volume{}
	}
	v := Volume{Type: unix.ByteSliceToString(st.Fstypename[:]), Remote: st.Flags&unix.MNT_LOCAL == 0}
	if at := unix.ByteSliceToString(st.Mntonname[:]); strings.HasPrefix(at, "/Volumes/") {
		v.Label = filepath.Base(at)
	}
	v.typed()
	return v
}
