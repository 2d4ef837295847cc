package main

import (
	"os"
	"path/filepath"
	"slices"

	"offsite/cmd/offsite/config"
)

const apartHint = "keep the source, the stores and the local state in folders of their own"

// apart refuses a configuration in which they are not.
func apart(c *config.Config) error {
	var folders []string
	for _, f := range slices.Concat(c.Source.Folders, c.Source.Also) {
		folders = append(folders, string(f))
	}
	var stores []config.Address
	for _, s := range c.Stores {
		stores = append(stores, s.Address)
	}
	if key, problem := mixed(folders, string(c.State), stores); problem != "" {
		return c.Problem(key, problem, apartHint)
	}
	return nil
}

func addressesOf(stores []config.Store) []config.Address {
	var out []config.Address
	for _, s := range stores {
		out = append(out, s.Address)
	}
	return out
}

// mixed finds what must not lie in one another: local state or a store in a folder
// of the source would be saved along, and change the set while it is saved; a
// source in a store would be taken for objects. It returns the key of the
// configuration that is wrong.
func mixed(folders []string, state string, stores []config.Address) (key, problem string) {
	for _, f := range folders {
		if state != "" && inside(state, f) {
			return "state", "the folder for local state lies in the source"
		}
		for _, s := range stores {
			if s.Scheme != "dir" {
				continue
			}
			if inside(string(s.Path), f) {
				return "stores", "the store " + s.String() + " lies in the source"
			}
			if inside(f, string(s.Path)) {
				return "source.folders", "the source lies in the store " + s.String()
			}
		}
	}
	return "", ""
}

// inside says whether a path leads to a folder or to something in it. What is not
// there yet counts by the nearest folder above it that is.
func inside(path, folder string) bool {
	want, err := os.Stat(folder)
	if err != nil {
		return false // what is missing is told elsewhere
	}
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return liesIn(real, want)
		}
		if filepath.Dir(at) == at {
			return false
		}
	}
}

// liesIn says whether an existing path without links is a folder, or lies in it.
func liesIn(path string, folder os.FileInfo) bool {
	for {
		if info, err := os.Stat(path); err == nil && os.SameFile(info, folder) {
			return true
		}
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
	}
}
