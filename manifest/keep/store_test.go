package keep_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

const (
	day      = 24 * time.Hour
	sourceID = "0102030405060708"
)

var founded = time.Date(2026, 3, 2, 21, 0, 0, 0, time.UTC)

// shop is a store of a practice in memory, with what its PCs write there.
type shop struct {
	t     *testing.T
	now   time.Time
	mem   *mem.Mem
	store *providers.Store
	trust *manifest.Trust
	pc    *seal.UploadKey
	other *seal.UploadKey // of a second PC
	key   *seal.RestoreKey
	made  int
}

// newShop founds one. Native says whether the store keeps leases itself.
func newShop(t *testing.T, native bool) *shop {
	t.Helper()
	restore, err := seal.NewRestoreKey()
	check(t, err)
	secrets, err := seal.NewSecrets()
	check(t, err)
	owner := restore.Owner()
	s := &shop{t: t, now: founded, key: restore}
	s.mem = mem.New(mem.Options{Now: func() time.Time { return s.now }})
	s.store = s.open(s.mem)
	if !native {
		s.store = s.open(bare{s.mem.Plain()})
	}
	repository := seal.NewID()
	enrol := func(k *seal.UploadKey) manifest.Enrolment {
		return manifest.Enrolment{Format: 1, Repository: repository, PC: k.PC, Signing: manifest.Public(k.Public()), Created: manifest.At(s.now)}
	}
	for _, pc := range []**seal.UploadKey{&s.pc, &s.other} {
		*pc, err = seal.NewUploadKey(repository, seal.NewID(), restore.Recipient(), secrets, owner.Public())
		check(t, err)
	}
	header := manifest.Header{Format: 1, Repository: repository, Created: manifest.At(s.now), Owner: manifest.Public(owner.Public()),
		Restore: s.pc.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable}
	check(t, manifest.Found(t.Context(), s.store, manifest.Founding{Header: header, Enrolment: enrol(s.pc), Owner: owner}))
	check(t, manifest.Enrol(t.Context(), s.store, owner, enrol(s.other)))
	s.trust, err = manifest.LoadTrust(t.Context(), s.store, header)
	check(t, err)
	return s
}

// newEmptyShop is a store that nobody founded.
func newEmptyShop(t *testing.T) *shop {
	s := &shop{t: t, now: founded}
	s.mem = mem.New(mem.Options{Now: func() time.Time { return s.now }})
	s.store = s.open(bare{s.mem.Plain()})
	return s
}

// bare is a bucket that keeps no leases.
type bare struct{ providers.Driver }

func (b bare) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	opt.Lease = time.Time{}
	return b.Driver.Put(ctx, key, data, opt)
}

func (s *shop) open(d providers.Driver) *providers.Store {
	return providers.NewStore(d, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack stores some bytes as a pack, leased for so long where the store keeps leases.
func (s *shop) pack(lease time.Duration) manifest.Stored {
	s.t.Helper()
	s.made++
	b := fmt.Appendf(nil, "bytes of pack %d", s.made)
	got, err := manifest.SavePack(s.t.Context(), s.store, pack.NameOf(b), b, s.now.Add(lease))
	check(s.t, err)
	return got
}

func (s *shop) segment(lease time.Duration) manifest.Stored {
	s.t.Helper()
	s.made++
	got, err := manifest.SaveSegment(s.t.Context(), s.store, fmt.Appendf(nil, "bytes of segment %d", s.made), s.now.Add(lease))
	check(s.t, err)
	return got
}

// commit writes the record of a snapshot that is kept for so long.
func (s *shop) commit(key *seal.UploadKey, source string, seq uint64, keep time.Duration, needs ...manifest.Stored) manifest.Ref {
	s.t.Helper()
	expiry := s.now.Add(keep)
	var packs, segments []manifest.Stored
	for _, n := range needs {
		if _, ok := manifest.ParsePackKey(n.Key()); ok {
			packs = append(packs, n.Leased(expiry))
		} else {
			segments = append(segments, n.Leased(expiry))
		}
	}
	root := sha256.Sum256(fmt.Append(nil, source, seq))
	ref, err := manifest.Commit(s.t.Context(), s.store, manifest.Record{
		Format: 1, Repository: key.Repository, Source: source, PC: key.PC, Seq: seq, Time: manifest.At(s.now), Date: s.now.Format(time.DateOnly),
		Revision: 1, Zone: "UTC", Profile: "generic", Verdict: manifest.Clean, Expiry: manifest.At(expiry),
		Table: manifest.Table{Root: fmt.Sprintf("%x", root[:16])},
	}, packs, segments, key.Signing, expiry)
	check(s.t, err)
	return ref
}

// leases writes a lease record.
func (s *shop) leases(key *seal.UploadKey, source string, objects []manifest.ObjectLease, snapshots ...manifest.SnapshotLease) {
	s.t.Helper()
	check(s.t, manifest.WriteLeases(s.t.Context(), s.store, manifest.LeaseRecord{Format: 1, Repository: key.Repository, Source: source, PC: key.PC,
		Time: manifest.At(s.now), Objects: objects, Snapshots: snapshots}, key.Signing))
}

func (s *shop) put(key, text string) {
	s.t.Helper()
	_, err := s.store.Create(s.t.Context(), key, []byte(text), time.Time{})
	check(s.t, err)
}

func (s *shop) evidence(opt keep.Options) *keep.Evidence {
	s.t.Helper()
	e, err := keep.Read(s.t.Context(), s.store, s.trust, opt)
	check(s.t, err)
	return e
}

// lapsed are the keys that may be removed now.
func (s *shop) lapsed(opt keep.Options) map[string]bool {
	s.t.Helper()
	out := make(map[string]bool)
	for _, l := range s.evidence(opt).Plan(s.now).Lapsed {
		out[l.Key] = true
	}
	return out
}

func (s *shop) stands(key string) bool {
	_, err := s.mem.Stat(s.t.Context(), key, "")
	return err == nil
}

func (s *shop) log(signed bool) *keep.Log {
	l := &keep.Log{Store: s.store, Trust: s.trust, Repository: s.pc.Repository}
	if signed {
		l.PC, l.Key = s.pc.PC, s.pc.Signing
	}
	return l
}

// remover removes whatever it is told to, as a bucket without lock does.
type remover struct {
	*shop
	mu      sync.Mutex
	fail    func(key string) error // before a removal; nil: none
	order   []string
	lostEnd bool // the answer of every removal is lost
}

func (r *remover) Remove(_ context.Context, key string, _ providers.Version) error {
	if r.fail != nil {
		if err := r.fail(key); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.order = append(r.order, key)
	r.mu.Unlock()
	if !r.mem.Lose(key) {
		return &providers.Error{Op: "remove", Key: key, Kind: providers.ErrNotExist}
	}
	if r.lostEnd {
		return &providers.Error{Op: "remove", Key: key, Kind: providers.ErrInDoubt}
	}
	return nil
}

// unreadable is a store whose credential may list and nothing else.
type unreadable struct{ *mem.Mem }

func (unreadable) Get(_ context.Context, key string, _ providers.Version, _, _ int64) ([]byte, error) {
	return nil, &providers.Error{Op: "get", Key: key, Kind: providers.ErrDenied}
}
