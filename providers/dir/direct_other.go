//go:build !linux

package dir

import "os"

// Other systems have no direct access that ordinary buffers may use.
const (
	directBlock = 4096
	directMin   = 1 << 62
)

func setDirect(*os.File, bool) bool { return false }
