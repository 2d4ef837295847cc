package manifest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

const (
	repository = "00112233445566aa"
	sourceID   = "0102030405060708"
	pcID       = "a1a2a3a4a5a6a7a8"
)

var (
	now   = time.Date(2026, 11, 20, 22, 30, 15, 0, time.UTC)
	owner = goldenOwner()
	pcKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	thief = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
)

// goldenOwner is the owner key of the golden files.
func goldenOwner() *seal.Owner {
	text, err := os.ReadFile(filepath.Join("seal", "testdata", "v1", "restore.key"))
	if err != nil {
		panic(err)
	}
	key, err := seal.ParseRestoreKey(text)
	if err != nil {
		panic(err)
	}
	return key.Owner()
}

// oneVersion calls every version g1, so that golden records do not depend on how
// the store in memory counts.
type oneVersion struct{ providers.Driver }

func (d oneVersion) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	_, err := d.Driver.Put(ctx, key, data, opt)
	return "g1", err
}

func (d oneVersion) Get(ctx context.Context, key string, _ providers.Version, off, n int64) ([]byte, error) {
	return d.Driver.Get(ctx, key, "", off, n)
}

// founding is how the store of the tests begins.
func founding() manifest.Founding {
	return manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: repository, Created: manifest.At(now), Owner: manifest.Public(owner.Public()),
			Restore: "age1pq1example", Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: manifest.Enrolment{Format: 1, Repository: repository, PC: pcID, Label: "front desk",
			Signing: manifest.Public(pcKey.Public().(ed25519.PublicKey)), Created: manifest.At(now)},
		Owner:  owner,
		Sealed: map[string][]byte{manifest.SecretsKey: []byte("sealed")},
	}
}

// emptyStore is a store in memory that nobody founded.
func emptyStore(t *testing.T) *providers.Store {
	t.Helper()
	m := mem.New(mem.Options{Now: func() time.Time { return now }, Report: func(breach string) { t.Error(breach) }})
	return providers.NewStore(oneVersion{m}, providers.Options{})
}

// store founds a store in memory and returns it with those it trusts.
func store(t *testing.T) (*providers.Store, *manifest.Trust) {
	t.Helper()
	s := emptyStore(t)
	if err := manifest.Found(t.Context(), s, founding()); err != nil {
		t.Fatal(err)
	}
	h, err := manifest.OpenHeader(t.Context(), s, owner.Public())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := manifest.LoadTrust(t.Context(), s, h)
	if err != nil {
		t.Fatal(err)
	}
	return s, trust
}

func record(seq uint64, expiry time.Time) manifest.Record {
	return manifest.Record{Format: 1, Repository: repository, Source: sourceID, PC: pcID, Seq: seq, Time: manifest.At(now),
		Date: "2026-11-20", Revision: 1, Zone: "Europe/London", Profile: "exact", Verdict: manifest.Clean,
		Findings: []manifest.Finding{{Check: "files", Level: "info", Measured: "<12>", Limit: "&", Count: 3}},
		Counts:   manifest.Counts{Files: 3, Bytes: 4096},
		Table:    manifest.Table{Root: strings.Repeat("ab", 16), Chunks: 1, Rows: 3}, Expiry: manifest.At(expiry), Classes: []string{"business day"}}
}

func save(t *testing.T, s *providers.Store, text string, lease time.Time) manifest.Stored {
	t.Helper()
	data := []byte(text)
	st, err := manifest.SavePack(t.Context(), s, pack.NameOf(data), data, lease)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestCommittedRecordsAreListed(t *testing.T) {
	s, trust := store(t)
	expiry := now.AddDate(0, 0, 30)
	packs := []manifest.Stored{save(t, s, "pack two", expiry), save(t, s, "pack one", expiry.Add(time.Hour))}
	ref, err := manifest.Commit(t.Context(), s, record(1, expiry), packs, nil, pcKey, expiry)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Read(t.Context(), ref.Key, ref.Version)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "record", data)
	refs, bad, err := manifest.List(t.Context(), s, trust, sourceID, nil)
	if err != nil || len(bad) != 0 || len(refs) != 1 {
		t.Fatalf("got %d records, %v, %v", len(refs), bad, err)
	}
	if refs[0].Digest != ref.Digest || len(refs[0].Record.Packs) != 2 || refs[0].Record.Packs[0].Size != int64(len("pack two")) {
		t.Errorf("read back %+v", refs[0])
	}
}

func TestCommitRefusesWhatWouldNotLast(t *testing.T) {
	s, _ := store(t)
	expiry := now.AddDate(0, 0, 30)
	good := save(t, s, "pack", expiry)
	short := save(t, s, "short", expiry.Add(-time.Second))
	_, err := manifest.Commit(t.Context(), s, record(1, expiry), []manifest.Stored{good, short}, nil, pcKey, expiry)
	if !errors.Is(err, manifest.ErrShortLease) {
		t.Errorf("short lease: got %v", err)
	}
	if _, err := manifest.Commit(t.Context(), s, record(1, expiry), []manifest.Stored{{}}, nil, pcKey, expiry); err == nil {
		t.Error("a receipt that nobody made was taken")
	}
	if _, err := manifest.Confirm(providers.Object{Key: good.Key(), Size: 3}, 4, expiry); !errors.Is(err, providers.ErrCorrupt) {
		t.Errorf("confirm with another size: got %v", err)
	}
}

func TestOneOfTwoWritersCommits(t *testing.T) {
	s, _ := store(t)
	expiry := now.AddDate(0, 0, 30)
	if _, err := manifest.Commit(t.Context(), s, record(1, expiry), nil, nil, pcKey, expiry); err != nil {
		t.Fatal(err)
	}
	other := record(1, expiry)
	other.Counts.Files++
	if _, err := manifest.Commit(t.Context(), s, other, nil, nil, pcKey, expiry); !errors.Is(err, manifest.ErrRace) {
		t.Errorf("second writer: got %v, want ErrRace", err)
	}
}

func TestRecordsThatDoNotCount(t *testing.T) {
	s, trust := store(t)
	expiry := now.AddDate(0, 0, 30)
	good, err := manifest.Commit(t.Context(), s, record(1, expiry), nil, nil, pcKey, expiry)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Read(t.Context(), good.Key, "")
	if err != nil {
		t.Fatal(err)
	}
	put := func(seq uint64, b []byte) {
		t.Helper()
		if _, err := s.Create(t.Context(), manifest.RecordKey(sourceID, seq), b, expiry); err != nil {
			t.Fatal(err)
		}
	}
	put(2, data) // a copy under another number
	put(3, bytes.Replace(data, []byte(`"files":3`), []byte(`"files":4`), 1))
	put(4, data[:len(data)/2])
	put(5, []byte("garbage"))
	if _, err := manifest.Commit(t.Context(), s, record(6, expiry), nil, nil, thief, expiry); err != nil {
		t.Fatal(err)
	}
	refs, bad, err := manifest.List(t.Context(), s, trust, "", nil)
	if err != nil || len(refs) != 1 || len(bad) != 5 {
		t.Errorf("got %d records and %d damaged ones, %v; want 1 and 5", len(refs), len(bad), err)
	}
}

func TestLeaseRecordsAreReadInParts(t *testing.T) {
	s, trust := store(t)
	until := now.AddDate(0, 0, 40)
	st := save(t, s, "pack", until)
	rec := manifest.LeaseRecord{Format: 1, Repository: repository, Source: sourceID, PC: pcID, Time: manifest.At(now),
		Objects: []manifest.ObjectLease{st.ObjectLease()}, Snapshots: []manifest.SnapshotLease{{Seq: 7, Until: manifest.At(until), Class: "month end"}}}
	if err := manifest.WriteLeases(t.Context(), s, rec, pcKey); err != nil {
		t.Fatal(err)
	}
	got, last, bad, err := manifest.ReadLeases(t.Context(), s, trust, sourceID, "")
	if err != nil || len(bad) != 0 || len(got) != 1 || got[0].Objects[0].Pin != st.Pin() || got[0].Snapshots[0].Seq != 7 {
		t.Fatalf("got %+v, %v, %v", got, bad, err)
	}
	data, err := s.Read(t.Context(), last, "")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "lease", data)
	if got, _, _, err := manifest.ReadLeases(t.Context(), s, trust, sourceID, last); err != nil || len(got) != 0 {
		t.Errorf("after the last key: %d records, %v", len(got), err)
	}
}

func TestARecordIsSignedByThePCItNames(t *testing.T) {
	s, trust := store(t)
	expiry := now.AddDate(0, 0, 30)
	other := record(1, expiry)
	other.PC = "b1b2b3b4b5b6b7b8" // the signature names this one, too, and nobody enrolled it
	if _, err := manifest.Commit(t.Context(), s, other, nil, nil, pcKey, expiry); err != nil {
		t.Fatal(err)
	}
	_, bad, err := manifest.List(t.Context(), s, trust, "", nil)
	if err != nil || len(bad) != 1 || !errors.Is(bad[0].Err, seal.ErrUntrustedSigner) {
		t.Errorf("got %v, %v", bad, err)
	}
	// Signed by an enrolled PC in another one's name.
	mine := record(2, expiry)
	mine.PC = "b1b2b3b4b5b6b7b8"
	mine.Findings = []manifest.Finding{}
	mine.Segments, mine.Packs = []manifest.Pin{}, []manifest.Pin{}
	payload, err := json.Marshal(mine)
	if err != nil {
		t.Fatal(err)
	}
	data, err := seal.Sign("offsite record v1", payload, pcID, pcKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.ParseRecord(data, manifest.RecordKey(sourceID, 2), trust); !errors.Is(err, seal.ErrUntrustedSigner) {
		t.Errorf("a record in another PC's name: got %v", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	expiry := now.AddDate(0, 0, 30)
	s := providers.NewStore(mem.New(mem.Options{Now: func() time.Time { return now }}), providers.Options{})
	ref, err := manifest.Commit(context.Background(), s, record(1, expiry), nil, nil, pcKey, expiry)
	if err != nil {
		f.Fatal(err)
	}
	data, _ := s.Read(context.Background(), ref.Key, "")
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		// Nothing but the very bytes that the PC signed may pass: there is no key to
		// make others with.
		rec, err := manifest.ParseRecord(b, ref.Key, &manifest.Trust{})
		if err == nil {
			t.Fatalf("a record passed without anybody being trusted: %+v", rec)
		}
		if errors.Is(err, seal.ErrSignature) && bytes.Equal(b, data) {
			t.Fatal("the signed record has a wrong signature")
		}
	})
}

func FuzzPin(f *testing.F) {
	f.Add(strings.Repeat("ab", 32) + " 12 v1")
	f.Add(strings.Repeat("ab", 32) + " 12")
	f.Fuzz(func(t *testing.T, s string) {
		var p manifest.Pin
		if p.UnmarshalText([]byte(s)) != nil {
			return
		}
		if again, err := p.MarshalText(); err != nil || string(again) != s {
			t.Fatalf("%q became %q, %v", s, again, err)
		}
	})
}
