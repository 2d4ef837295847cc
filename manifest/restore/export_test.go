package restore

import "offsite/manifest/pack"

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
