package dir_test

import (
	"path/filepath"
	"testing"

	"offsite/providers"
	"offsite/providers/dir"
	"offsite/providers/providertest"
)

// newDir makes a store in a folder that the test owns and returns both.
func newDir(t *testing.T) (*dir.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	d, err := dir.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func contract(t *testing.T, prepare func(*dir.Dir)) {
	providertest.Run(t, func(t *testing.T) providers.Driver {
		d, path := newDir(t)
		prepare(d)
		return &opened{d, path}
	}, providertest.Abilities{Lease: true, Sweep: true, Clock: true, Again: func(t *testing.T, d providers.Driver) providers.Driver {
		again, err := dir.Open(d.(*opened).path)
		if err != nil {
			t.Fatal(err)
		}
		prepare(again)
		return again
	}})
}

// opened remembers where a store lies, to open it again.
type opened struct {
	*dir.Dir
	path string
}

func TestContract(t *testing.T) { contract(t, func(*dir.Dir) {}) }

// File systems such as exFAT have no hard links.
func TestContractWithoutLinks(t *testing.T) { contract(t, dir.WithoutLinks) }
