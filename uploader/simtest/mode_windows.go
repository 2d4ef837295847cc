package simtest

import "io/fs"

// unixMode: Windows has none.
func unixMode(fs.FileMode) uint32 { return 0 }
