package simtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"offsite/providers"
	"offsite/retention"
)

// ledger is what an honest clerk would know of one store: every snapshot that was
// ever committed, until when it was promised, and what it needs. It reads stored
// bytes with its own few lines and believes nobody else.
type ledger struct {
	box     *box
	snaps   []*snap              // in order of appearance
	byKey   map[string]*snap     // by id of the record
	leases  map[string]*leaseDoc // lease records by key
	foreign map[string]bool      // objects that the thief wrote, by id; they promise nothing
	void    map[string]bool      // records of the thief that no enrolled PC signed
	objects map[string]providers.Object
	sum     *leaseDoc // of all lease records; nil: to be added up anew
	forgot  int       // lease records that lapsed since sum was added up
	audited int       // changes of the store that were audited so far
}

// snap is one committed snapshot.
type snap struct {
	key, source string
	seq         uint64
	date        retention.Date
	revision    int
	at          time.Time // when the run that committed it began, by the store's clock
	clean       bool
	expiry      time.Time
	size        int64
	version     providers.Version
	pins        []pin
	lapsed      bool      // when its PC's last run began
	forged      bool      // by the thief
	harmed      bool      // something that it needs was taken away on purpose
	owed        time.Time // until when the rules want it, as the oracle says
	why         string    // of owed
}

type pin struct {
	id        string // key and version
	key, name string
	size      int64
	version   providers.Version
}

type leaseDoc struct {
	objects map[string]time.Time // by name
	snaps   map[string]time.Time // by record key
	foreign bool                 // the thief signed it
	latest  time.Time            // of all these times
}

// id tells an object from another one that stood at its key before.
func id(o providers.Object) string { return o.Key + " " + string(o.Version) }

func newLedger(b *box) *ledger {
	return &ledger{box: b, byKey: make(map[string]*snap), leases: make(map[string]*leaseDoc), foreign: make(map[string]bool), void: make(map[string]bool)}
}

// absorb reads what is new in the store. It returns the new snapshots.
func (l *ledger) absorb(now time.Time) (fresh []*snap, err error) {
	touched := l.box.touched
	if l.objects == nil {
		l.objects = make(map[string]providers.Object)
		for _, o := range l.box.mem.Objects() {
			touched = append(touched, o.Key)
		}
	}
	l.box.touched = nil
	slices.Sort(touched)
	ctx := context.Background()
	read := func(key string) []byte {
		b, err := l.box.mem.Get(ctx, key, "", 0, -1)
		must(err)
		return b
	}
	for _, key := range slices.Compact(touched) {
		o, err := l.box.mem.Stat(ctx, key, "")
		if err != nil {
			l.gone(key, now)
			continue
		}
		l.objects[key] = o
		switch {
		case strings.HasPrefix(o.Key, "r/s/") && l.byKey[id(o)] == nil && !l.void[id(o)]:
			s, err := readSnap(o, read(o.Key), now)
			if err != nil {
				if l.foreign[id(o)] {
					continue
				}
				return nil, fmt.Errorf("store %s: %s: %w", l.box.name, o.Key, err)
			}
			s.forged = l.foreign[id(o)]
			l.byKey[id(o)] = s
			l.snaps = append(l.snaps, s)
			fresh = append(fresh, s)
		case strings.HasPrefix(o.Key, "r/l/") && l.leases[o.Key] == nil:
			d, err := readLeaseDoc(read(o.Key))
			if err == nil {
				d.foreign = l.foreign[id(o)]
				l.leases[o.Key] = d
				l.add(d)
			} else if !l.foreign[id(o)] {
				return nil, fmt.Errorf("store %s: %s: %w", l.box.name, o.Key, err)
			}
		}
	}
	return fresh, nil
}

// gone forgets an object that stands there no more. What a lease record said of the
// past binds nobody, so the sum of all is added up anew only once in a while.
func (l *ledger) gone(key string, now time.Time) {
	delete(l.objects, key)
	if d := l.leases[key]; d != nil {
		delete(l.leases, key)
		if l.forgot++; l.forgot > 100 || !d.latest.Before(now) {
			l.sum = nil
		}
	}
}

// readSnap reads a record without asking who signed it.
func readSnap(o providers.Object, data []byte, now time.Time) (*snap, error) {
	var doc struct {
		Payload struct {
			Source, Date, Verdict string
			Seq                   uint64
			Revision              int
			Expiry                time.Time
			Segments, Packs       []string
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	p := &doc.Payload
	date, err := retention.ParseDate(p.Date)
	if err != nil {
		return nil, err
	}
	if p.Verdict != "clean" && p.Verdict != "suspect" {
		return nil, fmt.Errorf("verdict %q", p.Verdict)
	}
	s := &snap{key: o.Key, source: p.Source, seq: p.Seq, date: date, revision: p.Revision, at: now, clean: p.Verdict == "clean",
		expiry: p.Expiry, size: o.Size, version: o.Version}
	for _, list := range []struct {
		prefix string
		texts  []string
	}{{"r/p/", p.Packs}, {"r/x/", p.Segments}} {
		for _, text := range list.texts {
			pin, err := readPin(list.prefix, text)
			if err != nil {
				return nil, err
			}
			s.pins = append(s.pins, pin)
		}
	}
	return s, nil
}

func readPin(prefix, text string) (pin, error) {
	f := strings.Split(text, " ")
	if len(f) < 2 || len(f[0]) != 64 {
		return pin{}, fmt.Errorf("pin %q", text)
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	p := pin{key: prefix + f[0], name: f[0], size: size}
	if prefix == "r/p/" {
		p.key = prefix + f[0][:2] + "/" + f[0]
	}
	if len(f) == 3 {
		p.version = providers.Version(f[2])
	}
	p.id = p.key + " " + string(p.version)
	return p, err
}

func newLeaseDoc() *leaseDoc {
	return &leaseDoc{objects: make(map[string]time.Time), snaps: make(map[string]time.Time)}
}

func readLeaseDoc(data []byte) (*leaseDoc, error) {
	var doc struct {
		Payload struct {
			Source  string
			Objects []struct {
				Pin   string
				Until time.Time
			}
			Snapshots []struct {
				Seq   uint64
				Until time.Time
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	d := newLeaseDoc()
	for _, o := range doc.Payload.Objects {
		name, _, _ := strings.Cut(o.Pin, " ")
		d.objects[name] = later(d.objects[name], o.Until)
		d.latest = later(d.latest, o.Until)
	}
	for _, s := range doc.Payload.Snapshots {
		key := fmt.Sprintf("r/s/%s/%08d", doc.Payload.Source, s.Seq)
		d.snaps[key] = later(d.snaps[key], s.Until)
		d.latest = later(d.latest, s.Until)
	}
	return d, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// promises adds up what all lease records say. What the thief signed binds nobody,
// but where nothing else keeps an object, it does keep it.
func (l *ledger) promises() *leaseDoc {
	if l.sum == nil {
		l.sum, l.forgot = newLeaseDoc(), 0
		for _, d := range l.leases {
			l.add(d)
		}
	}
	return l.sum
}

func (l *ledger) add(d *leaseDoc) {
	if l.sum == nil || d.foreign && l.box.kind == native {
		return
	}
	for n, t := range d.objects {
		l.sum.objects[n] = later(l.sum.objects[n], t)
	}
	if d.foreign {
		return
	}
	for k, t := range d.snaps {
		l.sum.snaps[k] = later(l.sum.snaps[k], t)
	}
}

// until is how long a snapshot must be kept: as promised in the store, or as the
// rules want it, whatever the store says.
func (s *snap) until(p *leaseDoc) time.Time { return later(later(s.expiry, p.snaps[s.key]), s.owed) }

// audit says what is wrong with the snapshots that must be kept now: something
// that one of them needs is missing, is another object, or is not kept as long.
func (l *ledger) audit(now time.Time) []string {
	if l.audited == l.box.writes {
		return nil // time alone makes nothing wrong
	}
	l.audited = l.box.writes
	var wrong []string
	promised := l.promises()
	need, first := make(map[string]time.Time), make(map[string]*snap)
	live := l.snaps[:0:0]
	for _, s := range l.snaps {
		until := s.until(promised)
		if s.forged || s.harmed || s.lapsed {
			if !s.lapsed || l.present(s) {
				live = append(live, s)
			}
			continue
		}
		if until.Before(now) {
			if l.present(s) {
				live = append(live, s) // lapsed, but not removed yet
			}
			continue
		}
		live = append(live, s)
		o, ok := l.objects[s.key]
		switch {
		case !ok || o.Version != s.version:
			wrong = append(wrong, fmt.Sprintf("I1 store %s: %s (%v): the record is gone, and should be kept until %v%s", l.box.name, s.key, s.date, until, s.because(until)))
			continue
		case l.box.kind == native && o.Lease.Before(until):
			wrong = append(wrong, fmt.Sprintf("I1 store %s: %s (%v): the record is leased until %v, needed until %v%s", l.box.name, s.key, s.date, o.Lease, until, s.because(until)))
		}
		for _, p := range s.pins {
			if until.After(need[p.id]) {
				need[p.id], first[p.id] = until, s
			}
		}
	}
	for object, until := range need {
		if text := l.object(object, first[object], until, promised); text != "" {
			wrong = append(wrong, text)
		}
	}
	l.snaps = live
	slices.Sort(wrong)
	return wrong
}

func (s *snap) because(until time.Time) string {
	switch {
	case s.owed.Equal(until):
		return " (" + s.why + ")"
	case s.expiry.Equal(until):
		return " (so the record says)"
	}
	return " (so a lease record says)"
}

// object says what is wrong with one object that a snapshot needs.
func (l *ledger) object(id string, s *snap, until time.Time, promised *leaseDoc) string {
	i := slices.IndexFunc(s.pins, func(p pin) bool { return p.id == id })
	p := s.pins[i]
	complain := func(format string, args ...any) string {
		return fmt.Sprintf("I1 store %s: %s of %v needs %.9s...: ", l.box.name, s.key, s.date, p.key) + fmt.Sprintf(format, args...) + s.because(until)
	}
	o, ok := l.objects[p.key]
	switch {
	case !ok:
		return complain("it is gone, and needed until %v", until)
	case o.Size != p.size || o.Version != p.version:
		return complain("it is another object")
	case l.box.kind == native && o.Lease.Before(until):
		return complain("leased until %v, needed until %v", o.Lease, until)
	case promised.objects[p.name].Before(until):
		return complain("lease records keep it until %v, needed until %v", promised.objects[p.name], until)
	}
	return ""
}

// lapse notes which snapshots have lapsed. Somebody may still raise what is left of
// one, but nobody owes that it is whole.
func (l *ledger) lapse(now time.Time) {
	promised := l.promises()
	for _, s := range l.snaps {
		s.lapsed = s.lapsed || s.until(promised).Before(now)
	}
}

// harmed says whether anybody still looks after a snapshot that something was taken
// away from.
func (l *ledger) harmed() bool {
	return slices.ContainsFunc(l.snaps, func(s *snap) bool { return s.harmed && l.present(s) })
}

// visible returns the snapshots of a source that stand in the store.
func (l *ledger) visible(source string, now time.Time) []*snap {
	l.lapse(now)
	var out []*snap
	for _, s := range l.snaps {
		if s.source == source && l.present(s) {
			out = append(out, s)
		}
	}
	return out
}

// present says whether the very record of a snapshot stands in the store.
func (l *ledger) present(s *snap) bool {
	o, ok := l.objects[s.key]
	return ok && o.Version == s.version
}
