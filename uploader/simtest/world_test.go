package simtest_test

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
	"time"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/providertest"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/simtest"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// world is one simulated practice with its stores, inside one bubble.
type world struct {
	script  script
	habits  habits
	cal     *retention.Calendar
	policy  retention.Policy
	profile verify.Profile
	root    string
	gate    *gate
	boxes   []*box
	pcs     []*pc
	owner   *seal.Owner
	restore *seal.RestoreKey
	checker *simtest.Checker
	thief   *thief

	start   time.Time // of the bubble's clock
	origin  time.Time // what that is in the practice
	day     int
	today   retention.Date
	lazy    int // day until which nothing is removed
	wrong   []string
	diary   []string // the last things that happened
	stats   stats
	over    bool // nobody stores anything any more
	lapsing bool // tonight the removal runs during the PCs' runs
}

// stats count what was simulated.
type stats struct {
	years                                                     float64
	runs, commits, crashes, removed, restored, proved, thefts int
}

func (s *stats) add(o stats) {
	s.years += o.years
	s.runs += o.runs
	s.commits += o.commits
	s.crashes += o.crashes
	s.removed += o.removed
	s.restored += o.restored
	s.proved += o.proved
	s.thefts += o.thefts
}

func (s stats) String() string {
	return fmt.Sprintf("%.1f practice years, %d runs, %d commits, %d crashes, %d objects removed, %d snapshots proved byte for byte, %d restored, %d thefts",
		s.years, s.runs, s.commits, s.crashes, s.removed, s.proved, s.restored, s.thefts)
}

const diaryLines = 60

func (w *world) note(format string, args ...any) {
	w.diary = append(w.diary, fmt.Sprintf("%s day %d: ", w.now().Format("2006-01-02 15:04"), w.day)+fmt.Sprintf(format, args...))
	if len(w.diary) > diaryLines {
		w.diary = w.diary[1:]
	}
}

func (w *world) fail(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// must stops the simulation for an error of its own surroundings.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// now is the true time, which is what the stores' clocks show.
func (w *world) now() time.Time { return w.origin.Add(time.Since(w.start)) }

// sleepUntil moves virtual time.
func (w *world) sleepUntil(t time.Time) {
	if d := t.Sub(w.now()); d > 0 {
		time.Sleep(d)
	}
}

// at is an hour of today on the practice's wall.
func (w *world) at(hour, minute int) time.Time {
	return time.Date(w.today.Year, w.today.Month, w.today.Day, hour, minute, 0, 0, w.cal.Zone())
}

func newWorld(s script, root string, keys *keyring) *world {
	h := newHabits(s.seed)
	cal, err := retention.NewCalendar(h.settings)
	must(err)
	w := &world{script: s, habits: h, cal: cal, policy: h.policy, profile: mustProfile(), root: root, gate: newGate(s.seed),
		owner: keys.owner, restore: keys.restore, start: time.Now(), today: h.start}
	w.origin = w.at(12, 0)
	w.checker = &simtest.Checker{Opener: keys.restore.Opener(), Namer: keys.pcs[0].Namer(), Owner: keys.pcs[0].Owner, Now: w.now}
	w.thief = &thief{world: w}
	for i, kind := range h.kinds {
		b := &box{name: fmt.Sprintf("store%d", i), kind: kind}
		b.mem = &shelf{docs: make(map[place][]byte)}
		b.mem.Mem = mem.New(mem.Options{Now: w.now, Report: func(text string) {
			if !w.thief.busy {
				w.fail("store %s: %s", b.name, text)
			}
		}})
		for i := range b.near {
			b.near[i].shelf = b.mem
		}
		b.ledger = newLedger(b)
		w.found(b, keys)
		w.boxes = append(w.boxes, b)
	}
	for i, key := range keys.pcs {
		p := &pc{number: i, name: fmt.Sprintf("pc%d", i), key: key, id: fmt.Sprintf("%016x", i+1)}
		for at, folder := range map[*string]string{&p.source: "source", &p.state: "state", &p.old: "old", &p.hidden: "hidden"} {
			*at = filepath.Join(root, p.name, folder)
			must(os.MkdirAll(*at, 0o700))
		}
		for n := range fewFiles + 1 {
			must(p.write([]string{"patients.fs5", "letter.txt", "logo.png", "scan.jpg", "diary.log"}[n], mix(s.seed, uint64(n), uint64(i)*uint64(n%2)), 150, w.now()))
		}
		w.pcs = append(w.pcs, p)
	}
	return w
}

// keyring holds the keys of a practice.
type keyring struct {
	restore *seal.RestoreKey
	owner   *seal.Owner
	pcs     []*seal.UploadKey
}

func newKeyring() *keyring {
	restore, err := seal.NewRestoreKey()
	must(err)
	k := &keyring{restore: restore, owner: restore.Owner()}
	secrets, err := seal.NewSecrets()
	must(err)
	for i := range 2 {
		key, err := seal.NewUploadKey("00000000000000aa", fmt.Sprintf("%016x", 0xb0+i), restore.Recipient(), secrets, k.owner.Public())
		must(err)
		k.pcs = append(k.pcs, key)
	}
	return k
}

func (w *world) found(b *box, keys *keyring) {
	store := providers.NewStore(b.mem, providers.Options{})
	ctx := context.Background()
	enrol := func(k *seal.UploadKey) manifest.Enrolment {
		return manifest.Enrolment{Format: 1, Repository: k.Repository, PC: k.PC, Signing: manifest.Public(k.Public()), Created: manifest.At(w.now())}
	}
	k := keys.pcs[0]
	must(manifest.Found(ctx, store, manifest.Founding{Owner: keys.owner, Enrolment: enrol(k), Header: manifest.Header{Format: 1, Repository: k.Repository,
		Created: manifest.At(w.now()), Owner: manifest.Public(k.Owner), Restore: k.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable}}))
	for _, k := range keys.pcs[1:] {
		must(manifest.Enrol(ctx, store, keys.owner, enrol(k)))
	}
}

// night says what one PC meets tonight.
type night struct {
	rules   [][]providertest.Rule // for each store
	date    retention.Date        // zero: today's
	readAll bool
	suspect bool
	onWrite func(op, key string)
	records []int // that had gone from each store when it began
}

// begin starts a run of a PC. It returns nil if there is no backup to store.
func (w *world) begin(p *pc, n night) *actor {
	a := p.actor
	if a == nil {
		a = &actor{}
		p.actor = a
	}
	a.name = p.name
	if n.onWrite != nil {
		a.onWrite = n.onWrite
	}
	ctx := context.Background()
	var err error
	p.before, err = simtest.ReadState(p.source)
	must(err)
	set, err := source.Scan(ctx, p.scan())
	if err != nil {
		w.note("%s: %v", p.name, err)
		p.actor = nil
		return nil
	}
	passed, _ := verify.Judge(ctx, set, w.profile, verify.Options{})
	if !passed.Valid() {
		w.note("%s: the set is incomplete", p.name)
		p.actor = nil
		return nil
	}
	p.began = w.now()
	now := p.began.Add(p.clock)
	cfg := uploader.Config{Key: p.key, Source: p.id, State: p.state, Calendar: w.cal, Policy: w.policy, Date: n.date, ReadAll: n.readAll,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Workers: 1}
	for i, b := range w.boxes {
		var rules []providertest.Rule
		if n.rules != nil {
			rules = n.rules[i]
		}
		cfg.Stores = append(cfg.Stores, uploader.Target{Name: b.name, Store: b.open(w.gate, a, &b.near[p.number], rules...)})
	}
	for _, b := range w.boxes {
		w.absorb(b)
		b.ledger.lapse(w.now())
		n.records = append(n.records, b.records)
	}
	w.stats.runs++
	go func() {
		defer func() { a.ended.Store(true); w.gate.ring() }()
		w.gate.enter(a.name, "start", "")
		res, err := uploader.Run(ctx, cfg, passed)
		if a.dead {
			return // nobody is left to tell
		}
		w.conclude(p, n, res, err)
	}()
	return a
}

// conclude judges what a run said of itself.
func (w *world) conclude(p *pc, n night, res uploader.Result, err error) {
	harmed := slices.ContainsFunc(w.boxes, func(b *box) bool { return b.ledger.harmed() })
	if err != nil && !errors.Is(err, uploader.ErrNothingNew) && !p.incident && !harmed {
		w.fail("I5 %s: a run that nothing disturbed failed: %v", p.name, err)
	}
	p.actor = nil
	for i, s := range res.Stores {
		b := w.boxes[i]
		clean := s.Err == nil && (err == nil || errors.Is(err, uploader.ErrNothingNew))
		w.note("%s: %s: date %v, committed %q, %d packs, %d raised, error %v", p.name, b.name, res.Date, s.Ref.Key, s.Packs, s.Raised, errors.Join(err, s.Err))
		if s.Err != nil && !p.incident && !harmed {
			w.fail("I5 %s: store %s: nothing disturbed it, and yet: %v", p.name, b.name, s.Err)
		}
		if clean && s.Ref.Key != "" {
			w.stats.commits++
		}
		w.absorb(b)
		if clean && s.Ref.Key != "" && b.ledger.objects[s.Ref.Key].Key == "" {
			w.fail("I4 %s: store %s: %s is reported as committed and does not exist", p.name, b.name, s.Ref.Key)
		}
		// A run by a clock that is ahead plans for another day; one that is behind is put
		// right by the store. A record that went meanwhile was perhaps raised in vain.
		if p.clock <= 0 && b.records == n.records[i] && (clean || harmed && !p.incident && s.Ref.Key != "") {
			b.ledger.audited = -1
			oracle{w.cal, w.policy}.afterRun(b.ledger.visible(p.id, w.now()), p.began)
		}
	}
}

// absorb learns what is new in a store. Whatever was committed must hold what the
// source of its PC was when the run began.
func (w *world) absorb(b *box) {
	fresh, err := b.ledger.absorb(w.now())
	if err != nil {
		w.fail("I4 %v", err)
		return
	}
	for _, s := range fresh {
		if s.forged {
			continue
		}
		i := slices.IndexFunc(w.pcs, func(p *pc) bool { return p.id == s.source })
		s.at = w.pcs[i].began
		w.checker.Expect(b.name, s.key, w.pcs[i].before)
		w.prove(b, s)
	}
}

// prove compares every byte of a snapshot with what the source was.
func (w *world) prove(b *box, s *snap) {
	w.stats.proved++
	if err := w.checker.Snapshot(context.Background(), b.name, b.mem, s.key); err != nil {
		w.fail("I1 store %s: %s", b.name, err)
	}
}

// audit holds every store against its ledger.
func (w *world) audit() {
	for _, b := range w.boxes {
		w.absorb(b)
		w.wrong = append(w.wrong, b.ledger.audit(w.now())...)
	}
}

// proveOne proves one snapshot of each store again that was committed long ago.
func (w *world) proveOne(arg uint64) {
	for _, b := range w.boxes {
		if s := b.pick(w, arg); s != nil {
			w.prove(b, s)
		}
	}
}

// pick returns one of the snapshots that must be kept now.
func (b *box) pick(w *world, arg uint64) *snap {
	promised := b.ledger.promises()
	live := slices.DeleteFunc(slices.Clone(b.ledger.snaps), func(s *snap) bool {
		return s.forged || s.harmed || s.lapsed || s.until(promised).Before(w.now())
	})
	if len(live) == 0 {
		return nil
	}
	return live[arg%uint64(len(live))]
}

// live lives through the script. It returns the day on which something was wrong.
func (w *world) live() int {
	next := 0
	for w.day = 0; w.day < w.script.days; w.day++ {
		var today []event
		for next < len(w.script.events) && w.script.events[next].day <= w.day {
			if e := w.script.events[next]; e.day == w.day {
				today = append(today, e)
			}
			next++
		}
		w.oneDay(today)
		if len(w.wrong) > 0 {
			return w.day
		}
		w.today = w.today.AddDays(1)
	}
	w.stats.years = float64(w.script.days) / 365.25
	w.finish()
	return w.day
}

// oneDay is one practice day: work, the night's runs, removal.
func (w *world) oneDay(today []event) {
	open := w.cal.Open(w.today) || int(mix(w.script.seed, uint64(w.day), 11)%1000) < w.habits.closed
	nights := make([][]night, len(w.pcs))
	hour := time.Duration(20+mix(w.script.seed, uint64(w.day), 13)%3) * time.Hour
	for i, p := range w.pcs {
		if open && w.day >= p.offline {
			p.opened++
			if p.opened%w.habits.cadence[i] == 0 {
				nights[i] = []night{{}}
			}
		}
		must(p.work(mix(w.script.seed, uint64(w.day)), w.now(), int(mix(w.script.seed, uint64(w.day), 17)%3)))
	}
	w.lapsing = false
	overlap := false
	for _, e := range today {
		w.note("event %s %d %d", e.kind, e.pc, e.arg)
		p := w.pcs[e.pc]
		switch e.kind {
		case "overlap":
			overlap = true
		case "night":
			hour = 25*time.Hour + 40*time.Minute
		default:
			w.apply(e, p, &nights[e.pc])
		}
	}
	w.sleepUntil(w.at(0, 0).Add(hour))
	w.nights(nights, overlap)
	w.audit()
	for _, p := range w.pcs {
		must(p.show())
		p.incident = false
	}
	w.sleepUntil(w.at(27, 0))
	w.remove()
	for _, e := range today {
		if e.kind == "restore" {
			w.restoreOne(e.arg)
		}
	}
	if w.day%28 == 0 {
		w.proveOne(mix(w.script.seed, uint64(w.day), 19))
	}
	w.audit()
	for _, b := range w.boxes {
		b.down = b.down && w.day < b.downUntil
		for i := range b.near {
			if w.day%32 == 0 {
				b.near[i].trim(b.ledger)
			}
		}
	}
	w.sleepUntil(w.at(36, 0))
}

// nights makes the runs of all PCs, one after the other or all at once.
func (w *world) nights(nights [][]night, overlap bool) {
	for round := 0; round < 2; round++ {
		var together []*actor
		for i, p := range w.pcs {
			if round >= len(nights[i]) {
				continue
			}
			if w.boxesDown() {
				p.incident = true
			}
			if a := w.begin(p, nights[i][round]); a != nil {
				together = append(together, a)
			}
			if !overlap {
				w.drive(together)
				together = nil
			}
		}
		w.drive(together)
	}
}

func (w *world) drive(actors []*actor) {
	if len(actors) == 0 {
		return
	}
	if w.lapsing {
		actors = append(actors, w.removal())
	}
	w.gate.drive(actors...)
	for _, p := range w.pcs {
		if p.actor != nil && p.actor.dead {
			w.stats.crashes++
			must(copyState(filepath.Join(w.root, p.name, "crash"), p.state))
			w.note("%s: crashed at write %d", p.name, p.actor.writes)
			p.actor = nil
		}
	}
	for _, p := range w.pcs {
		if p.afterRun != nil {
			p.afterRun()
			p.afterRun = nil
		}
	}
	for _, b := range w.boxes {
		w.absorb(b)
	}
}

func (w *world) boxesDown() bool {
	return slices.ContainsFunc(w.boxes, func(b *box) bool { return b.down })
}

// report is what a failure prints.
func (w *world) report() string {
	var b strings.Builder
	for _, text := range w.wrong[:min(len(w.wrong), 12)] {
		fmt.Fprintln(&b, text)
	}
	fmt.Fprintf(&b, "habits: %+v\n", w.habits)
	for _, line := range w.diary {
		fmt.Fprintln(&b, "  "+line)
	}
	return b.String()
}

func drawn(arg uint64) *rand.Rand { return rand.New(rand.NewPCG(arg, 3)) }
