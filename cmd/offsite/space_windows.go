package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// freeBytes is how much this account may still write where a folder is.
func freeBytes(dir string) (free uint64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("look at free space: %w", err)
	}
	return free, nil
}
