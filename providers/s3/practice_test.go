package s3_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/s3"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// practice is a PC with its keys and a backup folder, as whole runs need it.
type practice struct {
	t       *testing.T
	restore *seal.RestoreKey
	key     *seal.UploadKey
	source  string // folder
	state   string
	states  map[string]map[string]string // what the source was at each commit, by record
	commits []manifest.Ref
}

const practiceSource = "0102030405060708"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPractice(t *testing.T) *practice {
	t.Helper()
	key, err := seal.NewRestoreKey()
	check(t, err)
	secrets, err := seal.NewSecrets()
	check(t, err)
	upload, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), key.Recipient(), secrets, key.Owner().Public())
	check(t, err)
	p := &practice{t: t, restore: key, key: upload, source: t.TempDir(), state: t.TempDir(), states: map[string]map[string]string{}}
	p.write("letters/one.txt", []byte("Dear colleague, thank you for the referral.\n"))
	p.write("images/a.jpg", noise(1, 300<<10))
	p.write("data/patients.fs5", noise(2, 200<<10))
	return p
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func (p *practice) write(rel string, content []byte) {
	p.t.Helper()
	file := filepath.Join(p.source, filepath.FromSlash(rel))
	check(p.t, os.MkdirAll(filepath.Dir(file), 0o755))
	check(p.t, os.WriteFile(file, content, 0o644))
}

// found makes the store the practice's.
func (p *practice) found(d providers.Driver) {
	p.t.Helper()
	now := manifest.At(time.Now())
	check(p.t, manifest.Found(p.t.Context(), providers.NewStore(d, providers.Options{}), manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: p.key.Repository, Created: now, Owner: manifest.Public(p.key.Owner),
			Restore: p.key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: manifest.Enrolment{Format: 1, Repository: p.key.Repository, PC: p.key.PC, Signing: manifest.Public(p.key.Public()), Created: now},
		Owner:     p.restore.Owner(), Sealed: map[string][]byte{},
	}))
}

// commit makes one run that must commit.
func (p *practice) commit(d providers.Driver) {
	p.t.Helper()
	calendar, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	check(p.t, err)
	set, err := source.Scan(p.t.Context(), source.Options{Roots: []source.Root{{Path: p.source}}})
	check(p.t, err)
	profile, err := verify.Builtin("generic")
	check(p.t, err)
	passed, _ := verify.Judge(p.t.Context(), set, profile, verify.Options{})
	was := files(p.t, p.source)
	res, err := uploader.Run(p.t.Context(), uploader.Config{Key: p.key, Source: practiceSource, State: p.state, Calendar: calendar,
		Stores: []uploader.Target{{Name: "s3", Store: providers.NewStore(d, providers.Options{})}},
		Policy: retention.DefaultPolicy(), Now: time.Now, Log: slog.New(slog.DiscardHandler), Workers: 2}, passed)
	if err != nil || len(res.Stores) != 1 || res.Stores[0].Err != nil || res.Stores[0].Ref.Key == "" {
		p.t.Fatalf("run: %v, %+v", err, res.Stores)
	}
	p.commits = append(p.commits, res.Stores[0].Ref)
	p.states[res.Stores[0].Ref.Key] = was
}

// files are all files below a folder with their bytes.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	check(t, fs.WalkDir(os.DirFS(root), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(os.DirFS(root), name)
		out[name] = string(data)
		return err
	}))
	return out
}

// restoreAll brings every committed snapshot back, as somebody with the restore key
// finds it, and compares every byte.
func (p *practice) restoreAll(d providers.Driver) {
	p.t.Helper()
	ctx := p.t.Context()
	store := providers.NewStore(d, providers.Options{})
	header, err := manifest.OpenHeader(ctx, store, p.key.Owner)
	check(p.t, err)
	trust, err := manifest.LoadTrust(ctx, store, header)
	check(p.t, err)
	refs, _, err := manifest.List(ctx, store, trust, practiceSource, nil)
	check(p.t, err)
	found := map[string]manifest.Ref{}
	for _, ref := range refs {
		found[ref.Key] = ref
	}
	for _, want := range p.commits {
		ref, ok := found[want.Key]
		if !ok || ref.Digest != want.Digest {
			p.t.Errorf("%s: another record than was committed, or none", want.Key)
			continue
		}
		snapshot, err := restore.Open(ctx, store, p.restore.Opener(), ref)
		check(p.t, err)
		to := filepath.Join(p.t.TempDir(), "restored")
		if report, err := snapshot.Restore(ctx, restore.Options{To: to}); err != nil {
			p.t.Errorf("%s: %v, %+v", ref.Key, err, report)
			continue
		}
		if got := files(p.t, to); !maps.Equal(got, p.states[ref.Key]) {
			p.t.Errorf("%s: %d files, not the same as the %d that were committed", ref.Key, len(got), len(p.states[ref.Key]))
		}
	}
}

// split is a PC whose uploader may not raise leases, beside the manager who does.
type split struct {
	*s3.Locked
	manager *s3.Locked
}

func (s split) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	return s.manager.Raise(ctx, key, v, until)
}

// cephUser makes a user of Ceph without rights, and returns its name in policies.
func cephUser(t *testing.T, cfg s3.Config, role providers.Role) (s3.Config, string) {
	t.Helper()
	name := fmt.Sprintf("%s-%s", role, cfg.Bucket)
	check(t, ceph.Get(t).User(name, name, "of "+name))
	cfg.AccessKey, cfg.SecretKey = name, "of "+name
	return cfg, ceph.Get(t).ARN(name)
}

func openWith(t *testing.T, cfg s3.Config) *s3.Locked {
	t.Helper()
	cfg.PathStyle = true
	d, err := s3.Open(t.Context(), cfg)
	check(t, err)
	return d.(*s3.Locked)
}
