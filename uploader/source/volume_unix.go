//go:build unix

package source

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// volumeTop is the top folder of the volume that a folder stands on: the last one
// on the way up with the same device.
func volumeTop(folder string) string {
	var st unix.Stat_t
	if unix.Stat(folder, &st) != nil {
		return folder
	}
	for {
		var up unix.Stat_t
		parent := filepath.Dir(folder)
		if parent == folder || unix.Stat(parent, &up) != nil || up.Dev != st.Dev {
			return folder
		}
		folder = parent
	}
}

// spelled is a path in the one way that all names of a share have in common. There
// is nothing to do here: a share is mounted, and ids tell.
func spelled(path string) string { return filepath.Clean(path) }

// kept reports whether another program keeps a file for itself, which here none can.
func kept(error) bool { return false }
