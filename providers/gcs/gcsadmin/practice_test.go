package gcsadmin_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/simtest"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// practice is a PC that stores in the bucket of a scene with the upload
// credential, and remembers what its source was at every commit.
type practice struct {
	*scene
	restore *seal.RestoreKey
	owner   *seal.Owner
	key     *seal.UploadKey
	source  string
	state   string
	days    map[string]simtest.State // by the record's key
}

const sourceID = "0102030405060708"

// newPractice sets the bucket up and founds the store in it.
func newPractice(s *scene) *practice {
	s.Helper()
	s.setUp()
	key, err := seal.NewRestoreKey()
	check(s, err)
	p := &practice{scene: s, restore: key, owner: key.Owner(), source: s.TempDir(), state: s.TempDir(), days: map[string]simtest.State{}}
	secrets, err := seal.NewSecrets()
	check(s, err)
	p.key, err = seal.NewUploadKey(seal.NewID(), seal.NewID(), key.Recipient(), secrets, p.owner.Public())
	check(s, err)
	check(s, manifest.Found(s.Context(), p.store(uploadToken), manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: p.key.Repository, Created: manifest.At(s.layer.Now()), Owner: manifest.Public(p.key.Owner),
			Restore: p.key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: manifest.Enrolment{Format: 1, Repository: p.key.Repository, PC: p.key.PC, Signing: manifest.Public(p.key.Public()), Created: manifest.At(s.layer.Now())},
		Owner:     p.owner, Sealed: map[string][]byte{},
	}))
	return p
}

func (p *practice) store(token string) *providers.Store {
	return providers.NewStore(p.open(token), providers.Options{Attempts: 3, Sleep: func(context.Context, time.Duration) error { return nil }})
}

// change writes a day's work into the source: something new, something in place.
func (p *practice) change(n uint64) {
	p.Helper()
	r := rand.New(rand.NewPCG(n, 1))
	image := make([]byte, 40<<10)
	for i := range image {
		image[i] = byte(r.Uint32())
	}
	name := filepath.Join(p.source, p.layer.Now().Format("images-2006-01-02.jpg"))
	check(p, os.WriteFile(name, image, 0o644))
	check(p, os.WriteFile(filepath.Join(p.source, "patients.db"), append([]byte("patients of day "), image[:20<<10]...), 0o644))
	check(p, os.WriteFile(filepath.Join(p.source, "letter.txt"), []byte("Dear colleague, thank you for the referral.\n"), 0o644))
}

// night makes one run, which must commit.
func (p *practice) night() manifest.Ref {
	p.Helper()
	was, err := simtest.ReadState(p.source)
	check(p, err)
	set, err := source.Scan(p.Context(), source.Options{Roots: []source.Root{{Path: p.source}}})
	check(p, err)
	profile, err := verify.Builtin("generic")
	check(p, err)
	passed, _ := verify.Judge(p.Context(), set, profile, verify.Options{})
	cal, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	check(p, err)
	res, err := uploader.Run(p.Context(), uploader.Config{Key: p.key, Source: sourceID, State: p.state, Calendar: cal, Policy: retention.DefaultPolicy(),
		Stores: []uploader.Target{{Name: "cloud", Store: p.store(uploadToken)}}, Now: p.layer.Now, Log: slog.New(slog.DiscardHandler), Workers: 2}, passed)
	if err != nil || len(res.Stores) != 1 || res.Stores[0].Err != nil {
		p.Fatalf("night of %v: %v (%+v)", p.layer.Now(), err, res.Stores)
	}
	ref := res.Stores[0].Ref
	p.days[ref.Key] = was
	return ref
}

// committed reads every record with the restore credential. Those that the
// practice did not write are told apart.
func (p *practice) committed() (own, foreign []manifest.Ref, damaged []manifest.Damaged) {
	p.Helper()
	store := p.store(restorer)
	header, err := manifest.OpenHeader(p.Context(), store, p.owner.Public())
	check(p, err)
	trust, err := manifest.LoadTrust(p.Context(), store, header)
	check(p, err)
	refs, damaged, err := manifest.List(p.Context(), store, trust, sourceID, nil)
	check(p, err)
	for _, ref := range refs {
		if p.days[ref.Key] != nil {
			own = append(own, ref)
		} else {
			foreign = append(foreign, ref)
		}
	}
	return own, foreign, damaged
}

// until is when each snapshot expires: as fixed at its commit, or raised later.
func (p *practice) until(refs []manifest.Ref) map[string]time.Time {
	p.Helper()
	store := p.store(restorer)
	header, err := manifest.OpenHeader(p.Context(), store, p.owner.Public())
	check(p, err)
	trust, err := manifest.LoadTrust(p.Context(), store, header)
	check(p, err)
	ends := map[string]time.Time{}
	for _, ref := range refs {
		ends[ref.Key] = ref.Record.Expiry.Time
	}
	records, _, _, err := manifest.ReadLeases(p.Context(), store, trust, sourceID, "")
	check(p, err)
	for _, rec := range records {
		for _, l := range rec.Snapshots {
			if key := manifest.RecordKey(sourceID, l.Seq); l.Until.After(ends[key]) {
				ends[key] = l.Until.Time
			}
		}
	}
	return ends
}

// restores brings a snapshot back with the restore credential and key and says
// whether it is bit for bit what the source was.
func (p *practice) restores(ref manifest.Ref) error {
	p.Helper()
	snapshot, err := restore.Open(p.Context(), p.store(restorer), p.restore.Opener(), ref)
	if err != nil {
		return err
	}
	to := filepath.Join(p.TempDir(), "back")
	if _, err := snapshot.Restore(p.Context(), restore.Options{To: to, Workers: 2}); err != nil {
		return err
	}
	got, err := simtest.ReadState(to)
	if err != nil {
		return err
	}
	if !maps.Equal(got, p.days[ref.Key]) {
		return errors.New("restored, but not what the source was")
	}
	return nil
}

// stored are the objects of the bucket.
func (p *practice) stored() map[string]providers.Object {
	p.Helper()
	all := map[string]providers.Object{}
	for obj, err := range p.store(restorer).List(p.Context(), "", "") {
		check(p, err)
		all[obj.Key] = obj
	}
	return all
}
