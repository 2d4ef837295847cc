//go:build unix && !linux

package source

import "golang.org/x/sys/unix"

const (
	noAtime     = 0
	passThrough = unix.O_RDONLY
)
