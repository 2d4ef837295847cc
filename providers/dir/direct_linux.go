package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

// directBlock is what offsets and lengths of direct access are multiples of. It
// is a multiple of every sector size in use.
const directBlock = 4096

// directMin is the size from which objects bypass the system's page cache. Packs
// are written once and read rarely: through the cache they cost up to ten times
// the processor time and push out what the practice's own programs need there.
const directMin = 1 << 20

// setDirect switches direct access of an open file on or off and reports whether
// the file system has it. Where it has not, everything goes through the cache.
func setDirect(f *os.File, on bool) (ok bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil {
			return
		}
		want := flags &^ unix.O_DIRECT
		if on {
			want |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(fd, unix.F_SETFL, want)
		ok = err == nil
	})
	return ok && err == nil
}
