package azure_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azuretest"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/simtest"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// clinic is a practice whose one store is an account that was set up by the program,
// with a PC, a manager and a restorer, each with the role that is printed for it.
type clinic struct {
	office
	key      *seal.UploadKey
	restorer *seal.RestoreKey
	folder   string
	local    string
	days     map[string]simtest.State // what the source was, by record
	opener   *seal.Opener
}

const clinicSource = "0102030405060708"

func newClinic(t *testing.T, lifecycle azuretest.WORMLifecycle) *clinic {
	t.Helper()
	c := &clinic{office: newOffice(t, officeOptions{leases: azure.LeaseManaged, layer: azuretest.Options{Lifecycle: lifecycle}}),
		folder: t.TempDir(), local: t.TempDir(), days: map[string]simtest.State{}}
	c.setUp()
	var err error
	c.restorer, err = seal.NewRestoreKey()
	c.must(err)
	secrets, err := seal.NewSecrets()
	c.must(err)
	owner := c.restorer.Owner()
	c.key, err = seal.NewUploadKey(seal.NewID(), seal.NewID(), c.restorer.Recipient(), secrets, owner.Public())
	c.must(err)
	c.opener = c.restorer.Opener()
	now := manifest.At(c.layer.Now())
	c.must(manifest.Found(t.Context(), c.store(providers.RoleUploader), manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: c.key.Repository, Created: now, Owner: manifest.Public(c.key.Owner),
			Restore: c.key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: manifest.Enrolment{Format: 1, Repository: c.key.Repository, PC: c.key.PC, Signing: manifest.Public(c.key.Public()), Created: now},
		Owner:     owner, Sealed: map[string][]byte{},
	}))
	return c
}

func (c *clinic) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// store is the store as a role opens it.
func (c *clinic) store(role providers.Role) *providers.Store {
	c.Helper()
	return providers.NewStore(open(c.T, c.as(role)), providers.Options{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
}

// night changes the source, runs the program with the uploader's role, and then the
// manager raises what the records ask for.
func (c *clinic) night(seed uint64) uploader.Result {
	c.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	noise := make([]byte, 40<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	c.must(os.WriteFile(filepath.Join(c.folder, fmt.Sprintf("image-%d.jpg", seed)), noise, 0o600))
	c.must(os.WriteFile(filepath.Join(c.folder, "patients.dat"), noise[:20<<10], 0o600))
	was, err := simtest.ReadState(c.folder)
	c.must(err)
	set, err := source.Scan(c.Context(), source.Options{Roots: []source.Root{{Path: c.folder}}})
	c.must(err)
	profile, err := verify.Builtin("generic")
	c.must(err)
	passed, _ := verify.Judge(c.Context(), set, profile, verify.Options{})
	calendar, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	c.must(err)
	res, err := uploader.Run(c.Context(), uploader.Config{Key: c.key, Source: clinicSource, State: c.local, Calendar: calendar, Policy: retention.DefaultPolicy(),
		Stores: []uploader.Target{{Name: "azure", Store: c.store(providers.RoleUploader)}}, Now: c.layer.Now, Log: slog.New(slog.DiscardHandler), Workers: 2}, passed)
	c.must(err)
	if len(res.Stores) != 1 || res.Stores[0].Err != nil || res.Stores[0].Ref.Key == "" {
		c.Fatalf("the night did not commit: %+v", res.Stores)
	}
	c.days[res.Stores[0].Ref.Key] = was
	c.manage()
	return res
}

// manage is a manager's round: what the records and lease records of enrolled PCs ask
// for is raised, with the lease records themselves and the long canaries.
func (c *clinic) manage() {
	c.Helper()
	store := c.store(providers.RoleManager)
	refs, until := c.refs(store)
	for key, lapse := range c.leaseRecords(store) {
		c.must(store.Raise(c.Context(), key, "", lapse))
	}
	for _, ref := range refs {
		lapse := lapseOf(ref, until)
		err := store.Raise(c.Context(), ref.Key, ref.Version, lapse)
		if _, ours := c.days[ref.Key]; !ours && errors.Is(err, providers.ErrDenied) {
			continue // it asks for more than anybody may
		}
		c.must(err)
		for _, o := range manifest.Needs(ref) {
			c.must(store.Raise(c.Context(), o.Key(), o.Pin().Version, lapse))
		}
		if _, long := manifest.CanaryKeys(ref.Record.Source, ref.Record.Seq); c.layer.Now().Before(ref.Record.Time.Add(manifest.LongCanary)) {
			if err := store.Raise(c.Context(), long, "", ref.Record.Time.Add(manifest.LongCanary)); !errors.Is(err, providers.ErrNotExist) {
				c.must(err)
			}
		}
	}
}

// lapseOf is until when a snapshot is kept.
func lapseOf(ref manifest.Ref, until map[uint64]time.Time) time.Time {
	return later(ref.Record.Expiry.Time, until[ref.Record.Seq])
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// trust is who is believed.
func (c *clinic) trust(store *providers.Store) *manifest.Trust {
	c.Helper()
	head, err := manifest.OpenHeader(c.Context(), store, c.key.Owner)
	c.must(err)
	trust, err := manifest.LoadTrust(c.Context(), store, head)
	c.must(err)
	return trust
}

// leaseRecords are until when the lease records are needed, by key.
func (c *clinic) leaseRecords(store *providers.Store) map[string]time.Time {
	c.Helper()
	out, trust := map[string]time.Time{}, c.trust(store)
	for _, key := range c.stored(manifest.LeasePrefix) {
		rec, err := manifest.ReadLease(c.Context(), store, trust, key, "")
		c.must(err)
		for _, s := range rec.Snapshots {
			out[key] = later(out[key], s.Until.Time)
		}
		for _, o := range rec.Objects {
			out[key] = later(out[key], o.Until.Time)
		}
	}
	return out
}

// refs are the committed snapshots, and until when lease records keep them.
func (c *clinic) refs(store *providers.Store) ([]manifest.Ref, map[uint64]time.Time) {
	c.Helper()
	trust := c.trust(store)
	refs, _, err := manifest.List(c.Context(), store, trust, clinicSource, nil)
	c.must(err)
	leases, _, _, err := manifest.ReadLeases(c.Context(), store, trust, clinicSource, "")
	c.must(err)
	until := map[uint64]time.Time{}
	for _, rec := range leases {
		for _, s := range rec.Snapshots {
			until[s.Seq] = later(until[s.Seq], s.Until.Time)
		}
	}
	return refs, until
}

// restoreAll restores every committed snapshot that is there, with the restorer's role,
// compares it bit for bit with what the source was, and returns how many there are.
// A record that none of the nights wrote must not restore as one of them.
func (c *clinic) restoreAll(when string) int {
	c.Helper()
	store := c.store(providers.RoleRestore)
	refs, _ := c.refs(store)
	n := 0
	for _, ref := range refs {
		want, ok := c.days[ref.Key]
		if !ok {
			continue
		}
		n++
		s, err := restore.Open(c.Context(), store, c.opener, ref)
		if err != nil {
			c.Errorf("%s: open %s: %v", when, ref.Key, err)
			continue
		}
		to := filepath.Join(c.TempDir(), "restored")
		if _, err := s.Restore(c.Context(), restore.Options{To: to, Workers: 2}); err != nil {
			c.Errorf("%s: restore %s: %v", when, ref.Key, err)
			continue
		}
		got, err := simtest.ReadState(to)
		c.must(err)
		if len(got) != len(want) {
			c.Errorf("%s: %s has %d files, want %d", when, ref.Key, len(got), len(want))
		}
		for name, item := range want {
			if g := got[name]; g.SHA256 != item.SHA256 || g.Size != item.Size || g.Mtime != item.Mtime || g.Type != item.Type {
				c.Errorf("%s: %s: %s was restored as %+v, want %+v", when, ref.Key, name, g, item)
			}
		}
	}
	return n
}

func (c *clinic) advance(days int) {
	c.Helper()
	advance(c.T, c.layer, days)
}

// stored counts the objects below a prefix.
func (c *clinic) stored(prefix string) (keys []string) {
	c.Helper()
	for obj, err := range c.store(providers.RoleRestore).List(c.Context(), prefix, "") {
		c.must(err)
		keys = append(keys, obj.Key)
	}
	return keys
}

// From the setup to the end: three nights, a thief, and then the rules alone. What is
// leased survives, what was raised further survives longer, what has lapsed is gone,
// and nobody asked for it. Whether a rule waits for what is locked or hides it, the
// account is the same to the program.
func TestSetupNightsThiefAndLifecycle(t *testing.T) {
	for name, lifecycle := range map[string]azuretest.WORMLifecycle{"rules skip what is locked": azuretest.SkipsLocked, "rules hide what is locked": azuretest.HidesLocked} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t, lifecycle)
			for n := range uint64(3) {
				c.night(n)
				c.advance(1)
			}
			if n := c.restoreAll("before the thief"); n != 3 {
				t.Fatalf("%d snapshots restore", n)
			}
			c.steal()
			if n := c.restoreAll("after the thief"); n != 3 {
				t.Errorf("%d snapshots restore after the thief", n)
			}
			c.night(10) // the practice goes on
			if n := c.restoreAll("the night after"); n != 4 {
				t.Errorf("%d snapshots restore the night after", n)
			}

			c.advance(18) // day 21: the floor of 14 days is over for all that the manager did not raise
			if left := c.garbage(); len(left) > 0 {
				t.Errorf("garbage is still there: %q", left)
			}
			if n := c.restoreAll("on day 21"); n != 4 {
				t.Errorf("%d snapshots restore on day 21", n)
			}
			refs, until := c.refs(c.store(providers.RoleRestore))
			refs = slices.DeleteFunc(refs, func(ref manifest.Ref) bool { return c.days[ref.Key] == nil }) // the thief's
			report, err := manifest.Canaries(t.Context(), c.store(providers.RoleRestore), refs, c.layer.Now(), 14*day)
			c.must(err)
			if report.Kept != 4 || report.Gone != 4 || report.Removed.IsZero() || report.Missing > 0 || report.Overdue > 0 {
				t.Errorf("the canaries report %+v", report)
			}

			// Each snapshot stands on the last day of its lease, and is gone soon after.
			slices.SortFunc(refs, func(a, b manifest.Ref) int { return lapseOf(a, until).Compare(lapseOf(b, until)) })
			for n, ref := range refs {
				if left := lapseOf(ref, until).Sub(c.layer.Now()); left > 0 { // not gone with the one before
					c.advance(int(left / day))
					if got := c.restoreAll(fmt.Sprint("on the last day of ", ref.Key)); got < len(refs)-n {
						t.Errorf("%d snapshots restore on the last day of %s, %d should", got, ref.Key, len(refs)-n)
					}
				}
				c.advance(4)
				if slices.Contains(c.stored(manifest.RecordPrefix), ref.Key) {
					t.Errorf("%s still stands on %v, leased until %v", ref.Key, c.layer.Now(), lapseOf(ref, until))
				}
			}
			// The thief's back-dated record became the year's keeper: it was signed, and costs
			// storage until then.
			c.advance(8 * 366)
			if left := c.stored(manifest.Removable); len(left) > 0 {
				t.Errorf("after everything has lapsed %d objects are left: %q", len(left), left[:min(len(left), 5)])
			}
			if left := c.stored("keys/"); len(left) == 0 {
				t.Error("the keys are gone")
			}
		})
	}
}

// steal does what a thief of the upload credential and the upload key can do, and
// prints what came of it.
func (c *clinic) steal() {
	c.Helper()
	var table strings.Builder
	row := func(attack, answer string) { fmt.Fprintf(&table, "\n  %-44s -> %s", attack, answer) }
	canary := c.canary("thief")
	for _, a := range trials(c.T, c.as(providers.RoleUploader), canary) {
		if !a.Refused {
			c.Errorf("a thief can %s: %+v", a.Name, a)
		}
		row(a.Name, "refused: "+a.Answer)
	}
	store, ctx := c.store(providers.RoleUploader), c.Context()
	refs, _ := c.refs(store)
	last := refs[len(refs)-1]
	code := func(err error) string {
		if err == nil {
			return "taken"
		}
		return providers.KindOf(err).Error()
	}
	refuse := func(attack string, err, kind error) {
		if !errors.Is(err, kind) {
			c.Errorf("%s: %v, want %v", attack, err, kind)
		}
		row(attack, "refused: "+code(err))
	}
	driver := open(c.T, c.as(providers.RoleUploader))
	for _, at := range []struct{ what, key string }{{"a record", last.Key}, {"a pack", manifest.Needs(last)[0].Key()}, {"the header", manifest.HeaderKey}, {"an enrolment", manifest.PCKey(c.key.PC)}} {
		_, err := driver.Put(ctx, at.key, []byte("garbage"), providers.PutOptions{})
		refuse("create over "+at.what, err, providers.ErrExist)
		obj, err := driver.Stat(ctx, at.key, "")
		c.must(err)
		_, err = driver.Put(ctx, at.key, []byte("garbage"), providers.PutOptions{Replace: obj.Version})
		refuse("replace "+at.what, err, providers.ErrDenied)
	}
	// What creating allows is taken, and has to be harmless.
	const lapses, signed = "believed by nobody; lapses by itself", "shown with the store's own time; harms no older day"
	harmless := func(attack, because string, err error) {
		if err != nil {
			c.Errorf("%s: %v", attack, err)
		}
		row(attack, "taken; "+because)
	}
	put := func(key string) error {
		_, err := driver.Put(ctx, key, []byte("garbage"), providers.PutOptions{})
		return err
	}
	harmless("garbage in place of the next record", lapses, put(manifest.RecordKey(clinicSource, last.Record.Seq+1)))
	for n, forged := range []struct {
		attack, date string
		days, keep   int
		because      string
	}{
		{"a back-dated record, signed", "2025-11-20", -365, 40, signed},
		{"a record of a day to come, signed", "2026-12-24", 30, 40, signed},
		{"a record that asks for 99 years, signed", "2026-11-23", 0, 99 * 365, "the manager gives no more than the longest class"},
	} {
		rec := last.Record
		rec.Seq, rec.Prev, rec.Date = last.Record.Seq+2+uint64(n), last.Digest, forged.date
		rec.Time, rec.Expiry = manifest.At(last.Record.Time.AddDate(0, 0, forged.days)), manifest.At(c.layer.Now().AddDate(0, 0, forged.keep))
		var packs, segments []manifest.Stored
		for _, s := range manifest.Needs(last) {
			if s = s.Leased(rec.Expiry.Time); s.ObjectLease().Kind == manifest.PackKind {
				packs = append(packs, s)
			} else {
				segments = append(segments, s)
			}
		}
		_, err := manifest.Commit(ctx, store, rec, packs, segments, c.key.Signing, time.Time{})
		harmless(forged.attack, forged.because, err)
	}
	short := manifest.LeaseRecord{Format: manifest.FormatVersion, Repository: c.key.Repository, Source: clinicSource, PC: c.key.PC, Time: manifest.At(c.layer.Now()),
		Snapshots: []manifest.SnapshotLease{{Seq: last.Record.Seq, Until: manifest.At(c.layer.Now().AddDate(0, 0, -1)), Class: "thief"}}}
	harmless("a lease record that shortens, signed", "the latest time counts", manifest.WriteLeases(ctx, store, short, c.key.Signing))
	_, err := manifest.SavePack(ctx, store, pack.NameOf([]byte("garbage")), []byte("garbage"), time.Time{})
	harmless("a garbage pack", lapses, err)
	harmless("a garbage index segment", lapses, put(manifest.SegmentPrefix+pack.NameOf([]byte("garbage")).String()))
	harmless("the enrolment of a stranger", "not signed by the owner, believed by nobody; stays", put(manifest.PCKey("ffffffffffffffff")))
	c.Logf("attack -> answer:%s", table.String())
}

// garbage is what the thief left below what may be removed, but for records that are
// signed: those the manager believes, and keeps what they ask for.
func (c *clinic) garbage() (left []string) {
	c.Helper()
	for _, key := range c.stored(manifest.Removable) {
		if strings.Contains(key, pack.NameOf([]byte("garbage")).String()) || strings.HasPrefix(key, providers.CanaryPrefix+"thief") {
			left = append(left, key)
		}
	}
	return left
}

// The other scheme, from setup to the end: what is read within the rule's days lives
// on, what is not lapses, and a thief cannot hurry it.
func TestSetupAndLifecycleByLastAccess(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseLastAccess, keep: 40})
	o.setUp()
	d := open(t, o.as(providers.RoleUploader))
	for _, key := range []string{"r/p/renewed", "r/p/left", "keys/pc-1.json", "offsite.json", providers.CanaryPrefix + "short"} {
		if _, err := d.Put(t.Context(), key, []byte("as written"), providers.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	advance(t, o.layer, 30)
	for _, a := range trials(t, o.as(providers.RoleUploader), o.canary("attacked")) {
		if !a.Refused {
			t.Errorf("a thief can %s", a.Name)
		}
	}
	if err := raiseDays(t, o.layer, d, "r/p/renewed", 39); err != nil {
		t.Fatal(err)
	}
	advance(t, o.layer, 12) // day 42
	var present []string
	for obj, err := range d.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		present = append(present, obj.Key)
	}
	if want := []string{"keys/pc-1.json", "offsite.json", "r/c/attacked", "r/p/renewed"}; !slices.Equal(present, want) {
		t.Errorf("on day 42: %q, want %q", present, want)
	}
	advance(t, o.layer, 30) // day 72: nobody has read anything since day 30
	wantListed(t, d, "on day 72", "keys/pc-1.json", "offsite.json")
}
