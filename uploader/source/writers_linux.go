package source

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// writers finds the files of a set that a program of this PC holds open for
// writing, as far as this account may look at other programs. A program on another
// computer is not seen, so it is never sure.
func (f *finder) writers(ctx context.Context, set Set) (open int, sure bool) {
	held := map[FileID]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*/fd")
	own := strconv.Itoa(os.Getpid())
	for _, dir := range processes {
		if ctx.Err() != nil {
			return 0, false
		}
		process := filepath.Dir(dir)
		if filepath.Base(process) == own {
			continue
		}
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			var st unix.Stat_t
			if unix.Stat(filepath.Join(dir, fd.Name()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG &&
				writable(filepath.Join(process, "fdinfo", fd.Name())) {
				held[FileID{st.Dev, st.Ino}] = true
			}
		}
	}
	if len(held) == 0 {
		return 0, false
	}
	for e := range set.Entries() {
		if e.Type == TypeFile && held[e.ID] {
			open++
		}
	}
	return open, false
}

// writable reads the flags of an open file.
func writable(info string) bool {
	text, err := os.ReadFile(info)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		if octal, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			flags, err := strconv.ParseUint(string(bytes.TrimSpace(octal)), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// stale returns what a listing shows as it was although it is no longer so. A
// listing here never does.
func (s Set) stale(context.Context) []Change { return nil }
