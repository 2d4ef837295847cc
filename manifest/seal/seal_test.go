package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"offsite/manifest/seal"
)

// practice is a full set of keys.
type practice struct {
	restore *seal.RestoreKey
	owner   *seal.Owner
	upload  *seal.UploadKey
}

func newPractice(t testing.TB) practice {
	t.Helper()
	restore, err := seal.NewRestoreKey()
	must(t, err)
	owner, err := seal.NewOwner()
	must(t, err)
	secrets, err := seal.NewSecrets()
	must(t, err)
	upload, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	must(t, err)
	return practice{restore, owner, upload}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSealer(t testing.TB, k *seal.UploadKey) *seal.Sealer {
	t.Helper()
	s, err := k.Sealer()
	must(t, err)
	return s
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// edges are plain lengths around the 64 KiB steps of age and the steps of the proof.
var edges = []int{0, 1, 15, 65535, 65536, 65537, 131072, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2<<20 + 3}

func TestPackOpensWithTheRestoreKeyInEveryWay(t *testing.T) {
	p := newPractice(t)
	s, opener := newSealer(t, p.upload), p.restore.Opener()
	for _, n := range edges {
		plain := random(n)
		sealed, err := s.Pack([]byte("before"), plain)
		must(t, err)
		sealed, ok := bytes.CutPrefix(sealed, []byte("before"))
		if !ok || len(sealed) != s.PackSize(n) {
			t.Fatalf("%d bytes: sealed length %d, computed %d", n, len(sealed), s.PackSize(n))
		}
		got, err := opener.Open(sealed)
		must(t, err)
		if !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: opened to something else", n)
		}
		r, err := opener.NewReader(bytes.NewReader(sealed))
		must(t, err)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: read to something else: %v", n, err)
		}
		at, size, err := opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))
		must(t, err)
		if got, err := io.ReadAll(io.NewSectionReader(at, 0, size)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: read at offsets to something else: %v", n, err)
		}
	}
}

func TestUploadKeyOpensItsIndexButNoPack(t *testing.T) {
	p := newPractice(t)
	s := newSealer(t, p.upload)
	indexOpener, err := p.upload.IndexOpener()
	must(t, err)
	plain := random(100_000)
	segment, err := s.Index(nil, plain)
	must(t, err)
	for _, o := range []*seal.Opener{indexOpener, p.restore.Opener()} {
		if got, err := o.Open(segment); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("index segment does not open: %v", err)
		}
	}
	pack, err := s.Pack(nil, plain)
	must(t, err)
	if _, err := indexOpener.Open(pack); !errors.Is(err, seal.ErrNotForThisKey) {
		t.Fatalf("upload key on a pack: %v", err)
	}
}

func TestUploadKeyTextComesBackTheSame(t *testing.T) {
	p := newPractice(t)
	text, err := p.upload.MarshalText()
	must(t, err)
	k, err := seal.ParseUploadKey(text)
	must(t, err)
	again, err := k.MarshalText()
	must(t, err)
	if !bytes.Equal(text, again) || !k.Signing.Equal(p.upload.Signing) || k.Secrets != p.upload.Secrets {
		t.Fatal("upload key changed on its way")
	}
}

func TestSignedOpensForItsDomainAndSignerOnly(t *testing.T) {
	p := newPractice(t)
	data, err := p.upload.Sign("record v1", []byte(`{"a":1}`))
	must(t, err)
	trust := func(signer string) (ed25519.PublicKey, error) {
		if signer != p.upload.PC {
			return nil, errors.New("unknown")
		}
		return p.upload.Public(), nil
	}
	payload, signer, err := seal.OpenSigned("record v1", data, trust)
	must(t, err)
	if string(payload) != `{"a":1}` || signer != p.upload.PC {
		t.Fatalf("got %s by %s", payload, signer)
	}
	if _, _, err := seal.OpenSigned("lease v1", data, trust); !errors.Is(err, seal.ErrSignature) {
		t.Fatalf("other domain: %v", err)
	}
}

func TestPassphraseHolderGetsTheRestoreKeyBack(t *testing.T) {
	p := newPractice(t)
	h, err := seal.PassphraseHolder("correct horse battery", 2)
	must(t, err)
	data, err := seal.SealToHolder(p.restore, h)
	must(t, err)
	k, err := seal.OpenHolder(data, seal.Unlock{Passphrase: "correct horse battery"})
	must(t, err)
	if !bytes.Equal(k.Text(), p.restore.Text()) {
		t.Fatal("another key came back")
	}
	if _, err := seal.OpenHolder(data, seal.Unlock{Passphrase: strings.ToUpper("correct horse battery")}); !errors.Is(err, seal.ErrWrongPassphrase) {
		t.Fatalf("wrong passphrase: %v", err)
	}
}

func BenchmarkPack(b *testing.B) {
	const size = 16 << 20
	p := newPractice(b)
	s, opener := newSealer(b, p.upload), p.restore.Opener()
	plain := random(size)
	sealed, err := s.Pack(nil, plain)
	must(b, err)
	b.Run("seal", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			sealed, err = s.PackUnproved(sealed[:0], plain)
			must(b, err)
		}
	})
	b.Run("seal and prove", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			sealed, err = s.Pack(sealed[:0], plain)
			must(b, err)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		dst := make([]byte, 0, size)
		for b.Loop() {
			_, err := opener.Append(dst, sealed)
			must(b, err)
		}
	})
	b.Run("open small", func(b *testing.B) {
		small, err := s.Pack(nil, plain[:100])
		must(b, err)
		b.ReportAllocs()
		for b.Loop() {
			_, err := opener.Open(small)
			must(b, err)
		}
	})
	b.Run("name 1 MiB", func(b *testing.B) {
		n := p.upload.Namer()
		b.SetBytes(1 << 20)
		b.ReportAllocs()
		for b.Loop() {
			n.Chunk(plain[:1<<20])
		}
	})
}
