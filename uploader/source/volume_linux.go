package source

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// volume describes the file system of the root, as far as the kernel tells.
func (r *rootFolder) volume() Volume {
	var v Volume
	major, minor := unix.Major(r.info.ID.Device), unix.Minor(r.info.ID.Device)
	v.Type = mountType(fmt.Sprintf("%d:%d", major, minor))
	v.Serial = linkTo("/dev/disk/by-uuid", major, minor)
	v.Label = linkTo("/dev/disk/by-label", major, minor)
	v.typed()
	return v
}

// mountType finds the type of a mounted device, such as 8:1.
func mountType(device string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// id parent major:minor root point options optional... - type source options
		left, right, ok := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(left); ok && len(fields) > 2 && fields[2] == device {
			kind, _, _ := strings.Cut(right, " ")
			return kind
		}
	}
	return ""
}

// linkTo finds the name under which a folder of links names a device. Spaces and
// the like stand there as \x20.
func linkTo(dir string, major, minor uint32) string {
	names, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, n := range names {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(dir, n.Name()), &st) != nil ||
			unix.Major(uint64(st.Rdev)) != major || unix.Minor(uint64(st.Rdev)) != minor {
			continue
		}
		if name, err := strconv.Unquote(`"` + n.Name() + `"`); err == nil {
			return name
		}
		return n.Name()
	}
	return ""
}
