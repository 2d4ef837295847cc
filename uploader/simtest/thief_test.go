package simtest_test

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
)

// thief has a PC's upload key and the credential that goes with it. It can create
// objects and raise leases, and sign in the PC's name; it can remove nothing.
type thief struct {
	world *world
	busy  bool
	keys  map[string]bool // store and key of what it wrote, or of what it raised
	did   int
}

func (t *thief) wrote(b *box, key string) bool { return t.keys[b.name+" "+key] }

// visit does one of the things that a thief may try.
func (t *thief) visit(p *pc, r *rand.Rand) {
	w := t.world
	if t.keys == nil {
		t.keys = make(map[string]bool)
	}
	t.busy = true
	defer func() { t.busy = false }()
	w.stats.thefts++
	t.did++
	b := w.boxes[r.IntN(len(w.boxes))]
	if b.down {
		return
	}
	was := b.mem.Objects()
	what := r.IntN(8)
	w.note("the thief of %s's key: %d", p.name, what)
	t.act(what, b, p, r)
	for _, o := range was { // any of them may have been raised
		b.wrote(o.Key)
	}
	before := make(map[string]bool, len(was))
	for _, o := range was {
		before[o.Key] = true
	}
	for _, o := range b.mem.Objects() {
		if !before[o.Key] {
			b.wrote(o.Key)
			t.keys[b.name+" "+o.Key] = true
			b.ledger.foreign[id(o)] = true
			b.ledger.void[id(o)] = what == 3
		}
	}
	w.absorb(b)
}

func (t *thief) act(what int, b *box, p *pc, r *rand.Rand) {
	w, ctx := t.world, context.Background()
	store := providers.NewStore(b.mem, providers.Options{Attempts: 1})
	put := func(key string, data string, lease time.Time) {
		_, _ = b.mem.Put(ctx, key, []byte(data), providers.PutOptions{Lease: lease})
	}
	name := make([]byte, 32)
	for i := range name {
		name[i] = byte(r.Uint64())
	}
	text := hex.EncodeToString(name)
	soon := w.now().Add(day)
	switch what {
	case 0: // garbage that looks like a pack
		put(manifest.PackPrefix+text[:2]+"/"+text, "garbage", soon)
	case 1: // the place of the next record is taken by garbage
		put(manifest.RecordKey(p.id, b.nextSeq(p.id)), "garbage", soon)
	case 2: // a false day, well signed: today's, an old one, one of the future
		t.falseDay(store, b, p, []int{0, -3, -40, 700}[r.IntN(4)], p.key)
	case 3: // a false day, signed by a key that nobody enrolled
		key, err := seal.NewUploadKey(p.key.Repository, "00000000000000ee", p.key.Restore, p.key.Secrets, p.key.Owner)
		must(err)
		t.falseDay(store, b, p, 0, key)
	case 4: // leases that are to be shorter
		for _, s := range b.ledger.snaps {
			_ = b.mem.Raise(ctx, s.key, "", soon)
			for _, pin := range s.pins {
				_ = b.mem.Raise(ctx, pin.key, pin.version, soon)
			}
		}
		t.leases(store, b, p, soon)
	case 5: // lease records that lie: everything is said to be kept for years
		t.leases(store, b, p, w.now().Add(900*day))
	case 6: // an enrolment of its own
		put(manifest.PCKey("00000000000000ee"), "{}", time.Time{})
	case 7: // garbage among the lease records, and known keys once more
		put(manifest.LeasePrefix+p.id+"/20000101t000000z-"+text[:16], "garbage", soon)
		for _, o := range b.mem.Objects() {
			put(o.Key, "garbage", soon)
		}
	}
}

func (b *box) nextSeq(source string) uint64 {
	next := uint64(1)
	for _, o := range b.mem.Objects() {
		if s, seq, ok := manifest.ParseRecordKey(o.Key); ok && s == source && seq >= next {
			next = seq + 1
		}
	}
	return next
}

func (t *thief) falseDay(store *providers.Store, b *box, p *pc, days int, key *seal.UploadKey) {
	w := t.world
	expiry := w.now().Add(20 * day)
	rec := manifest.Record{Format: 1, Repository: key.Repository, Source: p.id, PC: key.PC, Seq: b.nextSeq(p.id), Time: manifest.At(w.now()),
		Date: w.today.AddDays(days).String(), Revision: 9, Zone: "UTC", Profile: "practice", Verdict: manifest.Clean,
		Table: manifest.Table{Root: strings.Repeat("00", 16)}, Expiry: manifest.At(expiry)}
	if _, err := manifest.Commit(context.Background(), store, rec, nil, nil, key.Signing, expiry); err != nil {
		w.note("the thief: %v", err)
	}
}

// leases writes signed lease records about everything that the thief knows of.
func (t *thief) leases(store *providers.Store, b *box, p *pc, until time.Time) {
	w := t.world
	rec := manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC, Time: manifest.At(w.now())}
	seen := make(map[string]bool)
	for _, s := range b.ledger.snaps {
		if s.source == p.id {
			rec.Snapshots = append(rec.Snapshots, manifest.SnapshotLease{Seq: s.seq, Until: manifest.At(until), Class: "false"})
		}
		for _, pin := range s.pins {
			name, ok := manifest.ParseName(pin.name)
			if !ok || seen[pin.key] {
				continue
			}
			seen[pin.key] = true
			kind := manifest.PackKind
			if strings.HasPrefix(pin.key, manifest.SegmentPrefix) {
				kind = manifest.SegmentKind
			}
			rec.Objects = append(rec.Objects, manifest.ObjectLease{Kind: kind, Pin: manifest.Pin{Name: name, Size: pin.size, Version: pin.version}, Until: manifest.At(until)})
		}
	}
	slices.SortFunc(rec.Objects, func(a, b manifest.ObjectLease) int { return slices.Compare(a.Pin.Name[:], b.Pin.Name[:]) })
	if err := manifest.WriteLeases(context.Background(), store, rec, p.key.Signing); err != nil {
		w.note("the thief: %v", err)
	}
}
