// Package statefile replaces files of the local state, so that a crash leaves the old
// one or the new one, whole.
//
// It promises nothing about power failures: local state can be lost, and costs time
// then, never a day.
package statefile

import (
	"os"
	"path/filepath"
)

// Replace writes the parts, one behind the other, under path, for this user alone. The
// folder must exist.
func Replace(path string, parts ...[]byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
