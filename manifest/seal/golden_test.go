package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offsite/manifest/seal"
)

// The files of testdata/v1 were written once and stay as they are: they are what
// every later version must still open, or still refuse. FORMAT.md describes them.
const goldenDir = "testdata/v1"

var writeGolden = flag.Bool("write-golden", false, "write the golden files of a new format version")

// vector is one golden file: header lines, an empty line, the object in base64.
type vector struct {
	name   string
	head   map[string]string
	object []byte
}

var kinds = map[string]error{
	"damaged": seal.ErrDamaged, "other-key": seal.ErrNotForThisKey, "signature": seal.ErrSignature,
	"untrusted": seal.ErrUntrustedSigner, "key-text": seal.ErrKeyText, "passphrase": seal.ErrWrongPassphrase,
}

func goldenKeys(t testing.TB) practice {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(goldenDir, name))
		must(t, err)
		return b
	}
	var p practice
	var err error
	p.restore, err = seal.ParseRestoreKey(read("restore.key"))
	must(t, err)
	p.upload, err = seal.ParseUploadKey(read("upload.key"))
	must(t, err)
	p.owner, err = seal.ParseOwner(read("owner.key"))
	must(t, err)
	return p
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.txt"))
	must(t, err)
	var all []vector
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		head, body, ok := strings.Cut(string(text), "\n\n")
		if !ok {
			t.Fatalf("%s has no object", file)
		}
		v := vector{name: filepath.Base(file), head: map[string]string{}}
		for line := range strings.Lines(head) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			v.head[key] = value
		}
		v.object, err = base64.StdEncoding.DecodeString(body)
		must(t, err)
		all = append(all, v)
	}
	if len(all) == 0 {
		t.Fatal("no golden files")
	}
	return all
}

func TestGoldenKeysAreStillWrittenTheSame(t *testing.T) {
	p := goldenKeys(t)
	upload, err := p.upload.MarshalText()
	must(t, err)
	secrets, err := p.upload.Secrets.MarshalText()
	must(t, err)
	for name, got := range map[string][]byte{
		"upload.key": upload, "restore.key": p.restore.Text(), "owner.key": p.owner.Text(), "secrets.key": secrets,
	} {
		want, err := os.ReadFile(filepath.Join(goldenDir, name))
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is written differently", name)
		}
	}
	if p.upload.Restore != p.restore.Recipient() || !p.upload.Owner.Equal(p.owner.Public()) {
		t.Error("golden keys do not belong together")
	}
}

func TestGoldenVectors(t *testing.T) {
	p := goldenKeys(t)
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			got, err := v.open(t, p)
			if want := v.head["expect"]; want != "ok" {
				if kinds[want] == nil || !errors.Is(err, kinds[want]) {
					t.Fatalf("got %v, want %s", err, want)
				}
				return
			}
			must(t, err)
			if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != v.head["sha256"] {
				t.Fatal("opened to other bytes")
			}
		})
	}
}

// open does with the object what the vector's op says.
func (v vector) open(t *testing.T, p practice) ([]byte, error) {
	switch v.head["op"] {
	case "open with restore key":
		return openAll(t, p.restore.Opener(), v.object)
	case "open with upload key":
		o, err := p.upload.IndexOpener()
		must(t, err)
		return openAll(t, o, v.object)
	case "open holder with passphrase":
		k, err := seal.OpenHolder(v.object, seal.Unlock{Passphrase: v.head["passphrase"]})
		if err != nil {
			return nil, err
		}
		return k.Text(), nil
	case "open signed":
		payload, signer, err := seal.OpenSigned(v.head["domain"], v.object, trusting(p))
		if err == nil {
			key := map[string]ed25519.PrivateKey{p.upload.PC: p.upload.Signing}[signer]
			again, err := seal.Sign(v.head["domain"], payload, signer, key)
			if err != nil || !bytes.Equal(again, v.object) {
				t.Errorf("signed differently now: %v", err)
			}
		}
		return payload, err
	case "name chunk":
		name := p.upload.Namer().Chunk(v.object)
		return name[:], nil
	case "name path":
		name := p.upload.Namer().Path(v.object)
		return name[:], nil
	case "read upload key":
		_, err := seal.ParseUploadKey(v.object)
		return v.object, err
	}
	t.Fatalf("unknown op %q", v.head["op"])
	return nil, nil
}

// TestWriteGolden writes the golden files of a new format version. It refuses to
// touch those that exist.
func TestWriteGolden(t *testing.T) {
	if !*writeGolden {
		t.Skip("no -write-golden: golden files are written once for a format version")
	}
	must(t, os.Mkdir(goldenDir, 0o755))
	p := newPractice(t)
	upload, err := p.upload.MarshalText()
	must(t, err)
	secrets, err := p.upload.Secrets.MarshalText()
	must(t, err)
	for name, text := range map[string][]byte{
		"upload.key": upload, "restore.key": p.restore.Text(), "owner.key": p.owner.Text(), "secrets.key": secrets,
	} {
		must(t, os.WriteFile(filepath.Join(goldenDir, name), text, 0o644))
	}
	writeSealedVectors(t, p)
	writeTextVectors(t, p, upload)
}

func writeVector(t *testing.T, name, op, expect string, object, plain []byte, more ...string) {
	t.Helper()
	head := append([]string{"op: " + op, "expect: " + expect}, more...)
	if expect == "ok" {
		head = append(head, fmt.Sprintf("sha256: %x", sha256.Sum256(plain)))
	}
	var body strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(object)), 76) {
		body.Write(append(line, '\n'))
	}
	text := strings.Join(head, "\n") + "\n\n" + body.String()
	must(t, os.WriteFile(filepath.Join(goldenDir, name+".txt"), []byte(text), 0o644))
}

func writeSealedVectors(t *testing.T, p practice) {
	const op = "open with restore key"
	s, other := newSealer(t, p.upload), newSealer(t, newPractice(t).upload)
	seal1 := func(s *seal.Sealer, plain []byte) []byte {
		b, err := s.Pack(nil, plain)
		must(t, err)
		return b
	}
	small := []byte("a few plain bytes")
	pack := seal1(s, small)
	changed := func(at int) []byte { b := bytes.Clone(pack); b[at] ^= 1; return b }
	writeVector(t, "pack-small", op, "ok", pack, small)
	writeVector(t, "pack-empty", op, "ok", seal1(s, nil), nil)
	two := bytes.Repeat([]byte("0123456789abcdef"), 4097)
	packTwo := seal1(s, two)
	writeVector(t, "pack-two-steps", op, "ok", packTwo, two)
	writeVector(t, "pack-cut-at-step", op, "damaged", packTwo[:len(packTwo)-32], nil)
	writeVector(t, "pack-cut-by-one", op, "damaged", pack[:len(pack)-1], nil)
	writeVector(t, "pack-cut-in-header", op, "damaged", pack[:700], nil)
	writeVector(t, "pack-byte-added", op, "damaged", append(bytes.Clone(pack), 0), nil)
	writeVector(t, "pack-payload-changed", op, "damaged", changed(len(pack)-20), nil)
	mac := bytes.Clone(pack)
	if at := bytes.Index(mac, []byte("\n--- ")) + 5; mac[at] != 'A' {
		mac[at] = 'A'
	} else {
		mac[at] = 'B'
	}
	writeVector(t, "pack-header-mac-changed", op, "damaged", mac, nil)
	writeVector(t, "pack-nonce-changed", op, "damaged", changed(len(pack)-len(small)-16-1), nil)
	writeVector(t, "pack-other-version", op, "damaged", bytes.Replace(pack, []byte("v1"), []byte("v2"), 1), nil)
	writeVector(t, "pack-of-other-practice", op, "other-key", seal1(other, small), nil)
	writeVector(t, "pack-with-upload-key", "open with upload key", "other-key", pack, nil)
	writeVector(t, "object-empty", op, "damaged", nil, nil)
	writeVector(t, "object-plain", op, "damaged", small, nil)
	segment, err := s.Index(nil, small)
	must(t, err)
	writeVector(t, "index-with-upload-key", "open with upload key", "ok", segment, small)
	writeVector(t, "index-with-restore-key", op, "ok", segment, small)
	secret, err := seal.SealTo(p.restore.Recipient(), p.owner.Text())
	must(t, err)
	writeVector(t, "owner-key-sealed", op, "ok", secret, p.owner.Text())

	const holder = "open holder with passphrase"
	h := passphraseFile(t, p, 10)
	right, wrong := "passphrase: "+passphrase, "passphrase: something else entirely"
	writeVector(t, "holder-passphrase", holder, "ok", h, p.restore.Text(), right)
	writeVector(t, "holder-wrong-passphrase", holder, "passphrase", h, nil, wrong)
	writeVector(t, "holder-too-much-work", holder, "damaged", bytes.Replace(h, []byte(" 10\n"), []byte(" 21\n"), 1), nil, right)
	writeVector(t, "holder-cut", holder, "damaged", h[:len(h)-1], nil, right)
	writeVector(t, "holder-not-passphrase", holder, "other-key", pack, nil, right)
}

func writeTextVectors(t *testing.T, p practice, upload []byte) {
	const op, domain = "open signed", "domain: offsite test v1"
	payload := []byte(`{"text":"G\u00fcnther","list":[1,2.5,null,true],"object":{}}`)
	signed, err := p.upload.Sign("offsite test v1", payload)
	must(t, err)
	foreign, err := newPractice(t).upload.Sign("offsite test v1", payload)
	must(t, err)
	replaced := func(old, new string) []byte { return bytes.Replace(signed, []byte(old), []byte(new), 1) }
	writeVector(t, "signed", op, "ok", signed, payload, domain)
	writeVector(t, "signed-other-domain", op, "signature", signed, nil, "domain: offsite test v2")
	writeVector(t, "signed-payload-changed", op, "signature", replaced("2.5", "2.6"), nil, domain)
	writeVector(t, "signed-by-other-name", op, "signature", replaced(p.upload.PC, seal.OwnerID), nil, domain)
	writeVector(t, "signed-by-stranger", op, "untrusted", foreign, nil, domain)
	writeVector(t, "signed-with-blank", op, "damaged", replaced(`,"list"`, `, "list"`), nil, domain)
	writeVector(t, "signed-with-line-feed", op, "damaged", append(bytes.Clone(signed), '\n'), nil, domain)
	writeVector(t, "signed-with-more-fields", op, "damaged", replaced(`,"sig"`, `,"x":1,"sig"`), nil, domain)
	writeVector(t, "signed-cut", op, "damaged", signed[:len(signed)-1], nil, domain)

	n := p.upload.Namer()
	for _, c := range []struct {
		suffix string
		data   []byte
	}{{"", []byte("a few plain bytes")}, {"-empty", nil}, {"-long", bytes.Repeat([]byte("0123456789abcdef"), 600)}} {
		chunk, path := n.Chunk(c.data), n.Path(c.data)
		writeVector(t, "name-chunk"+c.suffix, "name chunk", "ok", c.data, chunk[:])
		writeVector(t, "name-path"+c.suffix, "name path", "ok", c.data, path[:])
	}

	const read = "read upload key"
	edited := func(old, new string) []byte { return bytes.Replace(upload, []byte(old), []byte(new), 1) }
	writeVector(t, "upload-key", read, "ok", upload, upload)
	writeVector(t, "upload-key-windows-lines", read, "key-text", bytes.ReplaceAll(upload, []byte("\n"), []byte("\r\n")), nil)
	writeVector(t, "upload-key-changed", read, "key-text", edited(p.upload.PC, "0123456789abcdef"), nil)
	writeVector(t, "upload-key-other-version", read, "key-text", edited("v1", "v2"), nil)
	writeVector(t, "upload-key-cut", read, "key-text", upload[:len(upload)-40], nil)
}
