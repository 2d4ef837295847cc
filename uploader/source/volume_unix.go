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
