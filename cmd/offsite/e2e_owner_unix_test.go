//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ownerOf is who owns a file, where the one who restores may say so.
func ownerOf(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
	}
	return ""
}
