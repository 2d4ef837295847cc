package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offsite/manifest/seal"
)

// maxSeed keeps the large golden files out: their content is noise to a fuzzer,
// which would spend its time on changing it.
const maxSeed = 4 << 10

// seeds adds the golden objects whose op begins with op.
func seeds(f *testing.F, op string) {
	f.Helper()
	for _, v := range vectors(f) {
		if strings.HasPrefix(v.head["op"], op) && len(v.object) <= maxSeed {
			f.Add(v.object)
		}
	}
}

func seedFile(f *testing.F, name string) {
	f.Helper()
	b, err := os.ReadFile(filepath.Join(goldenDir, name))
	must(f, err)
	f.Add(b)
}

// What is accepted is written again the same: there is one spelling.
func FuzzParseUploadKey(f *testing.F) {
	seeds(f, "read upload key")
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := seal.ParseUploadKey(text)
		if err != nil {
			if !errors.Is(err, seal.ErrKeyText) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		again, err := k.MarshalText()
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("accepted, but written differently: %v", err)
		}
	})
}

// What is accepted means the same key when written and read again.
func FuzzParseRestoreKey(f *testing.F) {
	seedFile(f, "restore.key")
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := seal.ParseRestoreKey(text)
		if err != nil {
			if !errors.Is(err, seal.ErrKeyText) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		again, err := seal.ParseRestoreKey(k.Text())
		if err != nil || again.Line() != k.Line() {
			t.Fatalf("accepted, but not read again: %v", err)
		}
	})
}

func FuzzParseSmallKeys(f *testing.F) {
	seedFile(f, "owner.key")
	seedFile(f, "secrets.key")
	f.Fuzz(func(t *testing.T, text []byte) {
		if o, err := seal.ParseOwner(text); err == nil && !bytes.Equal(o.Text(), text) {
			t.Fatal("owner key accepted, but written differently")
		}
		if s, err := seal.ParseSecrets(text); err == nil {
			if again, err := s.MarshalText(); err != nil || !bytes.Equal(again, text) {
				t.Fatal("secrets accepted, but written differently")
			}
		}
	})
}

// No bytes open as signed unless Sign wrote them.
func FuzzOpenSigned(f *testing.F) {
	seeds(f, "open signed")
	p := goldenKeys(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		trust := func(string) (ed25519.PublicKey, error) { return p.upload.Public(), nil }
		payload, signer, err := seal.OpenSigned("offsite test v1", data, trust)
		if err != nil {
			return
		}
		again, err := seal.Sign("offsite test v1", payload, signer, p.upload.Signing)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("opened, but signed differently: %v", err)
		}
	})
}

// All ways of opening agree on every input.
func FuzzOpen(f *testing.F) {
	seeds(f, "open with")
	p := goldenKeys(f)
	index, err := p.upload.IndexOpener()
	must(f, err)
	f.Fuzz(func(t *testing.T, sealed []byte) {
		for _, o := range []*seal.Opener{p.restore.Opener(), index} {
			_, err := openAll(t, o, sealed)
			if err != nil && !errors.Is(err, seal.ErrDamaged) && !errors.Is(err, seal.ErrNotForThisKey) {
				t.Fatalf("error of no kind: %v", err)
			}
		}
	})
}
