package restore

import (
	"os"

	"offsite/manifest/pack"
)

// Places returns the packs that a chunk stands in, the one that it is read from first.
func Places(s *Snapshot, id pack.ChunkID) (names []pack.Name) {
	for l := range s.places(id) {
		names = append(names, l.Pack.Name)
	}
	return names
}

// CheckName is tested for systems other than the one that the tests run on.
func CheckName(goos, path string) error { return rulesOf(goos).check(path) }

// Folding makes a restore behave as in a target that makes no difference between
// capital and small letters.
func Folding(o Options) Options {
	o.folds = true
	return o
}

// Paced makes a restore call flush instead of the system, also for small files, in parts
// of piece bytes, with at most so many bytes on their way.
func Paced(o Options, piece, bytes int64, flush func(f *os.File, from, n int64, wait bool) error) Options {
	o.disk = &pace{flush: flush, least: 1, piece: piece, bytes: bytes, parts: 64}
	return o
}
