package providers

import (
	"context"
	"iter"
	"slices"
	"strings"
)

// Cache keeps what never changes near: the bytes of a version of a key. It may
// forget anything at any time, and must give no other bytes than it was given.
type Cache interface {
	Get(key string, v Version) ([]byte, bool)
	Put(key string, v Version, data []byte)
}

// cached reads a whole version, from the cache if that is what Options say.
func (s *Store) cached(key string, v Version) ([]byte, bool) {
	if s.opt.Cache == nil || v == "" || !s.opt.Near(key) {
		return nil, false
	}
	return s.opt.Cache.Get(key, v)
}

func (s *Store) keepNear(key string, v Version, data []byte) {
	if s.opt.Cache != nil && v != "" && s.opt.Near(key) {
		s.opt.Cache.Put(key, v, data)
	}
}

// survey is one listing that answers others.
type survey struct {
	prefix  string
	objects []Object // in the order of their keys
}

// Survey lists everything below prefix once; until end is called, listings below it
// are answered from that, and a read that names no version is of the one it saw. It is for whoever must see many kinds of objects at one
// time, and would pay for a listing of each.
func (s *Store) Survey(ctx context.Context, prefix string) (end func(), err error) {
	sv := &survey{prefix: prefix}
	for o, err := range s.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		sv.objects = append(sv.objects, o)
	}
	s.survey.Store(sv)
	return func() { s.survey.CompareAndSwap(sv, nil) }, nil
}

// surveyed answers a listing from the survey under way, if that covers it.
func (s *Store) surveyed(prefix, after string) (iter.Seq2[Object, error], bool) {
	sv := s.survey.Load()
	if sv == nil || !strings.HasPrefix(prefix, sv.prefix) {
		return nil, false
	}
	from, _ := slices.BinarySearchFunc(sv.objects, max(prefix, after), func(o Object, key string) int { return strings.Compare(o.Key, key) })
	return func(yield func(Object, error) bool) {
		for _, o := range sv.objects[from:] {
			switch {
			case o.Key <= after:
				continue
			case !strings.HasPrefix(o.Key, prefix):
				return
			case !yield(o, nil):
				return
			}
		}
	}, true
}

// surveyedVersion is the version of a key that the survey under way saw, where none
// is named.
func (s *Store) surveyedVersion(key string, v Version) Version {
	sv := s.survey.Load()
	if v != "" || sv == nil {
		return v
	}
	if i, ok := slices.BinarySearchFunc(sv.objects, key, func(o Object, key string) int { return strings.Compare(o.Key, key) }); ok {
		return sv.objects[i].Version
	}
	return v
}
