//go:build !windows

package dir

import (
	"os"
	"syscall"
)

var noLinksError error = &os.LinkError{Op: "link", Err: syscall.EPERM}
