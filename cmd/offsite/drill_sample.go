package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"path"
	"slices"
	"strings"
)

// maxKinds bounds the kinds that are told apart: practices have some tens, and a
// name that ends in something odd must not make a kind of its own for ever.
const maxKinds = 64

// sampler chooses files, some of every kind, where a kind is the ending of the name.
// Kinds take turns, so of the few files of a database nearly all are chosen, and of
// a million images some. Which of a kind, a hash says: nobody chooses, and with
// another salt they are others.
type sampler struct {
	most  int
	salt  string
	kinds map[string][]sampled // of each kind the lowest ranks, at most so many
}

type sampled struct {
	rank uint64
	path string
	size int64
}

func (s *sampler) add(name string, size int64) {
	kind := strings.ToLower(path.Ext(name))
	if _, ok := s.kinds[kind]; !ok && len(s.kinds) >= maxKinds {
		kind = ""
	}
	sum := sha256.Sum256([]byte(s.salt + "\x00" + name))
	one := sampled{binary.BigEndian.Uint64(sum[:8]), name, size}
	list := s.kinds[kind]
	at, _ := slices.BinarySearchFunc(list, one, func(x, y sampled) int {
		return cmp.Or(cmp.Compare(x.rank, y.rank), strings.Compare(x.path, y.path))
	})
	if at == s.most {
		return
	}
	list = slices.Insert(list, at, one)
	s.kinds[kind] = list[:min(len(list), s.most)]
}

// pick returns the files that were chosen: the first of every kind, then the second
// of every kind, and so on. Even of fewer files than kinds the choice is the same
// each time.
func (s *sampler) pick() []sampled {
	kinds := keysInOrder(s.kinds)
	var out []sampled
	for turn := 0; turn < s.most; turn++ {
		for _, k := range kinds {
			if turn < len(s.kinds[k]) && len(out) < s.most {
				out = append(out, s.kinds[k][turn])
			}
		}
	}
	return out
}

func keysInOrder[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
