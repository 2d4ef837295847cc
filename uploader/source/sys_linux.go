package source

import "golang.org/x/sys/unix"

const (
	// noAtime keeps a nightly read from writing an access time for every file. It
	// is allowed to the owner alone, so opening tries again without it.
	noAtime = unix.O_NOATIME
	// passThrough opens a folder on the way: search permission is enough.
	passThrough = unix.O_PATH
)
