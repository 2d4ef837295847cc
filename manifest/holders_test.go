package manifest_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

// holderFile looks like a file sealed by age, as far as anybody without a key can tell.
const holderFile = "age-encryption.org/v1\n-> X25519 ...\n"

// withHolders founds a store that has the holders.
func withHolders(t *testing.T, ids ...string) *providers.Store {
	t.Helper()
	s := providers.NewStore(mem.New(mem.Options{Now: func() time.Time { return now }}), providers.Options{})
	f := founding()
	for _, id := range ids {
		f.Sealed[manifest.HolderKey(id)] = []byte(holderFile + id)
	}
	if err := manifest.Found(t.Context(), s, f); err != nil {
		t.Fatal(err)
	}
	return s
}

// replace puts data in the place of an object.
func replace(t *testing.T, s *providers.Store, key string, data []byte) {
	t.Helper()
	o, err := s.Stat(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(t.Context(), key, o.Version, data, time.Time{}); err != nil {
		t.Fatal(err)
	}
}

// holders lists the holders as short texts.
func holders(t *testing.T, s *providers.Store) []string {
	t.Helper()
	got, err := manifest.LoadHolders(t.Context(), s, repository, owner.Public())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, h := range got {
		switch {
		case h.Present():
			out = append(out, h.ID)
		case !h.Removed.IsZero():
			out = append(out, h.ID+" removed "+h.Removed.Format(time.DateTime))
		case errors.Is(h.Damage, seal.ErrDamaged):
			out = append(out, h.ID+" damaged")
		default:
			out = append(out, h.ID+" ?")
		}
	}
	return out
}

func TestARemovedHolderLeavesASignedNote(t *testing.T) {
	s := withHolders(t, "age-1", "passphrase-2")
	if err := manifest.RemoveHolder(t.Context(), s, owner, repository, "age-1", now); err != nil {
		t.Fatal(err)
	}
	note, err := s.Read(t.Context(), manifest.HolderKey("age-1"), "")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "holder-removal", note)
	want := []string{"age-1 removed 2026-11-20 22:30:15", "passphrase-2"}
	if got := holders(t, s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := manifest.RemoveHolder(t.Context(), s, owner, repository, "age-1", now.Add(time.Hour)); err != nil {
		t.Errorf("removed again: %v", err)
	}
	if got := holders(t, s); !slices.Equal(got, want) {
		t.Errorf("removing again changed it to %q", got)
	}
}

func TestTheLastHolderStays(t *testing.T) {
	s := withHolders(t, "age-1", "age-2", "age-3")
	replace(t, s, manifest.HolderKey("age-3"), []byte("spoilt"))
	remove := func(id string) error { return manifest.RemoveHolder(t.Context(), s, owner, repository, id, now) }
	if err := remove("age-4"); !errors.Is(err, manifest.ErrNoHolder) {
		t.Errorf("unknown holder: %v", err)
	}
	if err := remove("age-1"); err != nil {
		t.Fatal(err)
	}
	// A spoilt file unlocks nothing, so age-2 is the last.
	if err := remove("age-2"); !errors.Is(err, manifest.ErrLastHolder) {
		t.Errorf("last holder: %v", err)
	}
	if err := remove("age-3"); err != nil {
		t.Errorf("a spoilt file: %v", err)
	}
	if got := holders(t, s); !slices.Equal(got, []string{"age-1 removed 2026-11-20 22:30:15", "age-2", "age-3 removed 2026-11-20 22:30:15"}) {
		t.Errorf("got %q", got)
	}
}

func TestNotesThatTheOwnerDidNotSignRemoveNobody(t *testing.T) {
	note := func(t *testing.T, owner *seal.Owner, repository, holder string) []byte {
		t.Helper()
		payload := `{"format":1,"repository":"` + repository + `","holder":"` + holder + `","removed":"2026-11-20T22:30:15Z"}`
		b, err := owner.Sign("offsite holder removal v1", []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	stranger, err := seal.NewOwner()
	if err != nil {
		t.Fatal(err)
	}
	good := note(t, owner, repository, "age-1")
	otherDomain, err := owner.Sign("offsite header v1", []byte(`{"format":1}`))
	if err != nil {
		t.Fatal(err)
	}
	pc, err := seal.Sign("offsite holder removal v1", []byte(`{"format":1}`), pcID, pcKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		note []byte
		want string
	}{
		{"right", good, "age-1 removed 2026-11-20 22:30:15"},
		{"by a stranger", note(t, stranger, repository, "age-1"), "age-1 damaged"},
		{"by a PC", pc, "age-1 damaged"},
		{"of another repository", note(t, owner, "ffffffffffffffff", "age-1"), "age-1 damaged"},
		{"of another holder", note(t, owner, repository, "age-2"), "age-1 damaged"},
		{"of another kind", otherDomain, "age-1 damaged"},
		{"changed", bytes.Replace(good, []byte("2026"), []byte("2025"), 1), "age-1 damaged"},
		{"cut", good[:len(good)-1], "age-1 damaged"},
		{"with more behind it", append(bytes.Clone(good), '\n'), "age-1 damaged"},
		{"nothing", []byte("x"), "age-1 damaged"},
	} {
		s := withHolders(t, "age-1", "age-2")
		replace(t, s, manifest.HolderKey("age-1"), c.note)
		if got := holders(t, s); !slices.Equal(got, []string{c.want, "age-2"}) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	s := withHolders(t, "age-1")
	replace(t, s, manifest.HolderKey("age-1"), good)
	if got, err := manifest.LoadHolders(t.Context(), s, repository, nil); err != nil || got[0].Damage == nil {
		t.Errorf("without an owner: %+v, %v", got, err)
	}
}

func TestStoreOfAnotherPracticeIsRefused(t *testing.T) {
	s, _ := store(t)
	stranger, err := seal.NewOwner()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.OpenHeader(t.Context(), s, stranger.Public()); !errors.Is(err, manifest.ErrOtherStore) || errors.Is(err, seal.ErrSignature) {
		t.Errorf("another owner's header: got %v, want ErrOtherStore", err)
	}
	if _, err := manifest.OpenHeader(t.Context(), emptyStore(t), nil); !errors.Is(err, manifest.ErrNoStore) {
		t.Errorf("empty store: got %v", err)
	}
}

func TestChangedHeadersAreDamaged(t *testing.T) {
	_, _ = store(t)
	first := withHolders(t)
	header, err := first.Read(t.Context(), manifest.HeaderKey, "")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := seal.NewOwner()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(change func(string) string) []byte {
		payload, _, err := seal.OpenSigned("offsite header v1", header, func(string) (ed25519.PublicKey, error) { return owner.Public(), nil })
		if err != nil {
			t.Fatal(err)
		}
		b, err := owner.Sign("offsite header v1", []byte(change(string(payload))))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	swap := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"another owner named", bytes.Replace(header, []byte(manifest.Public(owner.Public())), []byte(manifest.Public(stranger.Public())), 1), seal.ErrSignature},
		{"a field changed", bytes.Replace(header, []byte(`"repository":"0011`), []byte(`"repository":"0012`), 1), seal.ErrSignature},
		{"cut", header[:len(header)/2], seal.ErrDamaged},
		{"empty", []byte("{}"), seal.ErrDamaged},
		{"not JSON", []byte("x"), seal.ErrDamaged},
		{"a signer that is not the owner", bytes.Replace(header, []byte(`"signer":"owner"`), []byte(`"signer":"pc"`), 1), seal.ErrUntrustedSigner},
		{"a newer version", signed(swap(`"format":1`, `"format":2`)), pack.ErrVersion},
		{"a newer version with more fields", signed(swap(`"format":1`, `"format":2,"more":true`)), pack.ErrVersion},
		{"an unknown field", signed(swap(`"format":1`, `"format":1,"more":true`)), seal.ErrDamaged},
		{"an unknown naming", signed(swap(`blake3`, `sha256`)), seal.ErrDamaged},
		{"an owner given twice", signed(swap(`"format":1`, `"format":1,"owner":"x"`)), seal.ErrDamaged},
	} {
		s := emptyStore(t)
		if _, err := s.Create(t.Context(), manifest.HeaderKey, c.data, time.Time{}); err != nil {
			t.Fatal(err)
		}
		for _, key := range [][]byte{owner.Public(), nil} {
			if _, err := manifest.OpenHeader(t.Context(), s, key); !errors.Is(err, c.want) || errors.Is(err, manifest.ErrOtherStore) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
		}
	}
}

func TestFoundLeavesWhatIsThere(t *testing.T) {
	s, _ := store(t)
	if err := manifest.Found(t.Context(), s, founding()); !errors.Is(err, providers.ErrExist) {
		t.Errorf("a store was founded twice: %v", err)
	}
	half := emptyStore(t)
	if _, err := half.Create(t.Context(), manifest.SecretsKey, []byte("of an earlier attempt"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := manifest.Found(t.Context(), half, founding()); !errors.Is(err, providers.ErrExist) {
		t.Errorf("remains of a store were taken: %v", err)
	}
	f := founding()
	f.Owner = nil
	if err := manifest.Found(t.Context(), emptyStore(t), f); err == nil {
		t.Error("a store was founded without an owner")
	}
}

func TestAnEnrolledPCIsTrusted(t *testing.T) {
	s, trust := store(t)
	e := founding().Enrolment
	e.PC = "b1b2b3b4b5b6b7b8"
	for range 2 { // the same again is no mistake
		if err := manifest.Enrol(t.Context(), s, owner, e); err != nil {
			t.Fatal(err)
		}
	}
	h, err := manifest.OpenHeader(t.Context(), s, owner.Public())
	if err != nil {
		t.Fatal(err)
	}
	more, err := manifest.LoadTrust(t.Context(), s, h)
	if err != nil || trust.PCs() != 1 || more.PCs() != 2 {
		t.Errorf("%d PCs before and %v after, %v", trust.PCs(), more, err)
	}
	stranger, err := seal.NewOwner()
	if err != nil {
		t.Fatal(err)
	}
	e.PC = "c1c2c3c4c5c6c7c8"
	if err := manifest.Enrol(t.Context(), s, stranger, e); err != nil {
		t.Fatal(err)
	}
	damaged := manifest.PCKey("d1d2d3d4d5d6d7d8")
	if _, err := s.Create(t.Context(), damaged, []byte("{"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	// Neither counts, and neither hides those that do.
	more, err = manifest.LoadTrust(t.Context(), s, h)
	if err != nil || more.PCs() != 2 {
		t.Fatalf("%v, %v", more, err)
	}
	bad := more.Refused()
	if len(bad) != 2 || bad[0].Key != manifest.PCKey(e.PC) || bad[1].Key != damaged {
		t.Fatalf("refused %v", bad)
	}
	if !errors.Is(bad[0].Err, seal.ErrUntrustedSigner) && !errors.Is(bad[0].Err, seal.ErrSignature) || !errors.Is(bad[1].Err, seal.ErrDamaged) {
		t.Errorf("refused because of %v and %v", bad[0].Err, bad[1].Err)
	}
	e.PC = "../x"
	if err := manifest.Enrol(t.Context(), s, owner, e); err == nil {
		t.Error("an odd id was enrolled")
	}
}
