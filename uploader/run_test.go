package uploader_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/dir"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// practicePC is one PC with its keys, its source and its stores, as tests use it.
type practicePC struct {
	t       testing.TB
	now     time.Time
	restore *seal.RestoreKey
	key     *seal.UploadKey
	source  string // folder
	state   string
	stores  []uploader.Target
	log     *slog.Logger
}

const sourceID = "0102030405060708"

func newPC(t testing.TB, source string) *practicePC {
	t.Helper()
	restore, err := seal.NewRestoreKey()
	check(t, err)
	owner, err := seal.NewOwner()
	check(t, err)
	secrets, err := seal.NewSecrets()
	check(t, err)
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	check(t, err)
	return &practicePC{t: t, now: time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC), restore: restore, key: key, source: source,
		state: t.TempDir(), log: slog.New(slog.DiscardHandler)}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addStore founds another store of the practice on d.
func (p *practicePC) addStore(name string, d providers.Driver) *providers.Store {
	p.t.Helper()
	s := providers.NewStore(d, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
	owner := ed25519.NewKeyFromSeed(make([]byte, 32))
	p.key.Owner = owner.Public().(ed25519.PublicKey)
	check(p.t, manifest.Found(p.t.Context(), s, manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: p.key.Repository, Created: manifest.At(p.now), Owner: manifest.Public(p.key.Owner),
			Restore: p.key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: manifest.Enrolment{Format: 1, Repository: p.key.Repository, PC: p.key.PC, Signing: manifest.Public(p.key.Public()), Created: manifest.At(p.now)},
		Owner:     owner, Sealed: map[string][]byte{},
	}))
	p.stores = append(p.stores, uploader.Target{Name: name, Store: s})
	return s
}

func (p *practicePC) config() uploader.Config {
	cal, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	check(p.t, err)
	return uploader.Config{Key: p.key, Source: sourceID, Stores: p.stores, State: p.state, Calendar: cal, Policy: retention.DefaultPolicy(),
		Now: func() time.Time { return p.now }, Log: p.log}
}

func (p *practicePC) judge() verify.Passed {
	p.t.Helper()
	set, err := source.Scan(p.t.Context(), source.Options{Roots: []source.Root{{Path: p.source}}})
	check(p.t, err)
	profile, err := verify.Builtin("generic")
	check(p.t, err)
	passed, report := verify.Judge(p.t.Context(), set, profile, verify.Options{})
	if !passed.Valid() {
		p.t.Fatalf("set is not complete: %+v", report.Findings())
	}
	return passed
}

func (p *practicePC) run() (uploader.Result, error) {
	p.t.Helper()
	return uploader.Run(p.t.Context(), p.config(), p.judge())
}

func folder(t testing.TB) (*dir.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	d, err := dir.Create(path)
	check(t, err)
	return d, path
}

func TestARunCommitsAndTheNextFindsNothingNew(t *testing.T) {
	src := os.Getenv("OFFSITE_TRY")
	if src == "" {
		src = filepath.Join("..", "manifest")
	}
	p := newPC(t, src)
	d, _ := folder(t)
	p.addStore("local", d)
	start := time.Now()
	res, err := p.run()
	t.Log(time.Since(start))
	check(t, err)
	t.Logf("%+v", res.Stores[0].Ref.Record.Counts)
	start = time.Now()
	_, err = p.run()
	t.Log(time.Since(start), err)
}
