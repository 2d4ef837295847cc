package mem

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"offsite/providers"
)

// The calls below are for tests and simulations: they look at the store from
// outside or do to it what a provider, an accident or a thief would.

// Snapshot returns the present bytes of every object. The caller owns the copy.
func (m *Mem) Snapshot() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string][]byte, len(m.objects))
	for key, versions := range m.objects {
		out[key] = bytes.Clone(versions[len(versions)-1].data)
	}
	return out
}

// Objects describes every present object, in byte order of the keys.
func (m *Mem) Objects() []providers.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]providers.Object, 0, len(m.objects))
	for _, key := range m.ordered() {
		versions := m.objects[key]
		out = append(out, m.describe(key, versions[len(versions)-1]))
	}
	return out
}

// Clone copies the store as it is now, with the same options.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Mem{opt: m.opt, serial: m.serial, seed: m.seed, objects: make(map[string][]*object, len(m.objects)), folders: maps.Clone(m.folders)}
	for key, versions := range m.objects {
		for _, o := range versions {
			copied := *o
			copied.data = bytes.Clone(o.data)
			c.objects[key] = append(c.objects[key], &copied)
		}
	}
	return c
}

// Lapse does what a provider's removal rule does: it removes every version under
// prefix whose lease is over, and returns the keys in order. Versions without a
// lease stay.
func (m *Mem) Lapse(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.opt.Now()
	var removed []string
	for _, key := range m.ordered() {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for _, o := range slices.Clone(m.objects[key]) {
			if o.lapsed(now) {
				m.drop(key, o)
				removed = append(removed, key)
			}
		}
	}
	return removed
}

// Damage flips one bit of the present version's byte at off (modulo its size)
// and keeps quiet about it. It reports whether there was a byte to harm.
func (m *Mem) Damage(key string, off int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.find("damage", key, "")
	if err != nil || len(o.data) == 0 {
		return false
	}
	o.data[off%len(o.data)] ^= 1
	o.harmed = true
	return true
}

// Lose removes a key with all versions, leased or not, as a broken store would.
// It reports whether the key was there.
func (m *Mem) Lose(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.objects[key]) == 0 {
		return false
	}
	m.forget(key)
	return true
}
