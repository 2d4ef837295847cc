package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"filippo.io/age"

	"offsite/manifest/seal"
)

// secretsOf lists every secret of a practice in the spellings it could leak in.
func secretsOf(p practice) []string {
	_, restore, _ := strings.Cut(p.restore.Line(), "AGE-SECRET-KEY-PQ-1")
	_, index, _ := strings.Cut(p.upload.Index, "AGE-SECRET-KEY-PQ-1")
	s := []string{restore, index}
	for _, b := range [][]byte{p.upload.Naming[:], p.upload.Cut[:], p.upload.Signing.Seed(), p.ownerSeed()} {
		s = append(s, string(b), hex.EncodeToString(b), strings.Trim(fmt.Sprint(b), "[]"))
	}
	return s
}

func (p practice) ownerSeed() []byte {
	_, line, _ := strings.Cut(string(p.owner.Text()), "signing: ")
	seed, _, _ := strings.Cut(line, "\n")
	b, _ := hex.DecodeString(seed)
	return b
}

func TestKeysDoNotPrint(t *testing.T) {
	p := newPractice(t)
	values := map[string]any{
		"upload key": p.upload, "upload key by value": *p.upload,
		"restore key": p.restore, "restore key by value": *p.restore,
		"owner": p.owner, "secrets": p.upload.Secrets, "pointer to secrets": &p.upload.Secrets,
		"in a struct": struct{ Key *seal.UploadKey }{p.upload},
		"in a slice":  []any{p.upload.Secrets, p.owner},
	}
	for name, v := range values {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", v)
		for _, secret := range secretsOf(p) {
			if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
				t.Errorf("%s prints a secret", name)
			}
		}
	}
	for _, v := range []any{p.upload, p.restore, p.owner, p.upload.Secrets} {
		var out strings.Builder
		slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", v)
		for _, secret := range secretsOf(p) {
			if strings.Contains(out.String(), secret) {
				t.Errorf("JSON log of %T holds a secret", v)
			}
		}
	}
}

func TestUploadKeyHoldsNothingOfTheRestoreKey(t *testing.T) {
	p := newPractice(t)
	text, err := p.upload.MarshalText()
	must(t, err)
	asJSON, err := json.Marshal(p.upload)
	must(t, err)
	_, restore, _ := strings.Cut(p.restore.Line(), "AGE-SECRET-KEY-PQ-1")
	for _, b := range [][]byte{text, asJSON} {
		if bytes.Contains(bytes.ToLower(b), []byte(strings.ToLower(restore))) || bytes.Contains(b, []byte(hex.EncodeToString(p.ownerSeed()))) {
			t.Fatal("upload key holds a secret of the restore key or the owner")
		}
		if n := bytes.Count(b, []byte("AGE-SECRET-KEY")); n != 1 {
			t.Fatalf("%d age identities in the upload key, want the index identity alone", n)
		}
	}
}

// Everything secret in an upload key is tried on a pack, in every role that age
// knows: as the identity it is, and as raw file key.
func TestNothingInTheUploadKeyOpensAPack(t *testing.T) {
	p := newPractice(t)
	s := newSealer(t, p.upload)
	pack, err := s.Pack(nil, []byte("plain"))
	must(t, err)
	header, _, _ := bytes.Cut(pack, []byte("\n---"))
	if n := bytes.Count(header, []byte("\n-> ")); n != 1 {
		t.Fatalf("pack has %d recipients, want the restore key alone", n)
	}
	index, err := age.ParseHybridIdentity(p.upload.Index)
	must(t, err)
	ids := []age.Identity{index}
	for _, b := range [][]byte{p.upload.Naming[:], p.upload.Cut[:], p.upload.Signing} {
		for ; len(b) >= 16; b = b[1:] {
			ids = append(ids, age.NewInjectedFileKeyIdentity(b[:16]))
		}
	}
	for _, id := range ids {
		if _, err := age.Decrypt(bytes.NewReader(pack), id); err == nil {
			t.Fatalf("a secret of the upload key opens a pack, as %T", id)
		}
	}
	// The file key of one pack, used to prove it, is in no other pack.
	again, err := s.Pack(nil, []byte("plain"))
	must(t, err)
	if bytes.Equal(pack, again) {
		t.Fatal("two packs of the same bytes are equal")
	}
}

func TestUploadKeyRefusesEveryOtherSpelling(t *testing.T) {
	p := newPractice(t)
	text, err := p.upload.MarshalText()
	must(t, err)
	changes := map[string]func(string) string{
		"empty":         func(string) string { return "" },
		"cut off":       func(s string) string { return s[:len(s)-1] },
		"line added":    func(s string) string { return s + "\n" },
		"windows lines": func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"mark in front": func(s string) string { return "\ufeff" + s },
		"other header":  func(s string) string { return strings.Replace(s, "v1", "v2", 1) },
		"capitals":      func(s string) string { return strings.Replace(s, "owner: ", "OWNER: ", 1) },
		"blank at end":  func(s string) string { return strings.Replace(s, "\nnaming", " \nnaming", 1) },
		"digit changed": func(s string) string { return strings.Replace(s, p.upload.PC, seal.NewID(), 1) },
		"field doubled": func(s string) string { return strings.Replace(s, "pc: ", "pc: x\npc: ", 1) },
		"field missing": func(s string) string { return s[:strings.Index(s, "cut: ")] + s[strings.Index(s, "index: "):] },
		"check missing": func(s string) string { return s[:strings.Index(s, "check: ")] },
		"much too long": func(s string) string { return s + strings.Repeat("x", 1<<20) },
		"fields reversed": func(s string) string {
			l := strings.Split(s, "\n")
			l[1], l[2] = l[2], l[1]
			return strings.Join(l, "\n")
		},
	}
	for name, change := range changes {
		changed := change(string(text))
		if changed == string(text) {
			t.Errorf("%s: nothing changed", name)
		}
		_, err := seal.ParseUploadKey([]byte(changed))
		if !errors.Is(err, seal.ErrKeyText) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, secret := range secretsOf(p) {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: error quotes a secret", name)
			}
		}
	}
}

func TestUploadKeyIsNotMadeOfBadParts(t *testing.T) {
	p := newPractice(t)
	ok := *p.upload
	for name, break_ := range map[string]func(*seal.UploadKey){
		"no repository":        func(k *seal.UploadKey) { k.Repository = "" },
		"repository with line": func(k *seal.UploadKey) { k.Repository = "a\nb" },
		"pc with slash":        func(k *seal.UploadKey) { k.PC = "a/b" },
		"long pc":              func(k *seal.UploadKey) { k.PC = strings.Repeat("a", 65) },
		"no recipient":         func(k *seal.UploadKey) { k.Restore = "" },
		"identity for public":  func(k *seal.UploadKey) { k.Restore = p.restore.Line() },
		"no naming secret":     func(k *seal.UploadKey) { k.Naming = [32]byte{} },
		"no cut seed":          func(k *seal.UploadKey) { k.Cut = [32]byte{} },
		"no index":             func(k *seal.UploadKey) { k.Index = "" },
		"short signing key":    func(k *seal.UploadKey) { k.Signing = k.Signing[:32] },
		"no owner":             func(k *seal.UploadKey) { k.Owner = nil },
	} {
		k := ok
		break_(&k)
		if _, err := k.MarshalText(); !errors.Is(err, seal.ErrKeyText) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestoreKeyComesBackFromPaper(t *testing.T) {
	p := newPractice(t)
	line := p.restore.Line()
	var groups strings.Builder
	for i, c := range line {
		if i%5 == 0 {
			groups.WriteByte(' ')
		}
		if i == 40 {
			groups.WriteByte('\n')
		}
		groups.WriteRune(c)
	}
	for name, text := range map[string]string{
		"as written":    string(p.restore.Text()),
		"line alone":    line,
		"windows lines": strings.ReplaceAll(string(p.restore.Text()), "\n", "\r\n"),
		"small letters": strings.ToLower(line),
		"in groups":     groups.String(),
	} {
		k, err := seal.ParseRestoreKey([]byte(text))
		if err != nil || k.Line() != line || k.Recipient() != p.restore.Recipient() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestoreKeyRefusesMistakes(t *testing.T) {
	p, other := newPractice(t), newPractice(t)
	line := []byte(p.restore.Line())
	wrong := bytes.Clone(line)
	if wrong[40] = 'Q'; line[40] == 'Q' {
		wrong[40] = 'P'
	}
	swapped := bytes.Clone(line)
	for i := 30; ; i++ {
		if swapped[i] != swapped[i+1] {
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			break
		}
	}
	for name, text := range map[string]string{
		"empty":           "",
		"only a comment":  "# key\n",
		"wrong letter":    string(wrong),
		"letters swapped": string(swapped),
		"cut off":         string(line[:len(line)-1]),
		"two keys":        p.restore.Line() + "\n" + other.restore.Line(),
		"public half":     p.restore.Recipient(),
		"older kind":      "AGE-SECRET-KEY-1" + strings.Repeat("Q", 58),
		"too long":        strings.Repeat("#\n", 1<<20),
	} {
		_, err := seal.ParseRestoreKey([]byte(text))
		if !errors.Is(err, seal.ErrKeyText) {
			t.Errorf("%s: %v", name, err)
		} else if text != "" && len(text) > 60 && strings.Contains(err.Error(), text[20:60]) {
			t.Errorf("%s: error quotes what was read", name)
		}
	}
}

func TestOwnerAndSecretsComeBackFromTheStore(t *testing.T) {
	p := newPractice(t)
	sealed, err := seal.SealTo(p.restore.Recipient(), p.owner.Text())
	must(t, err)
	text, err := p.restore.Opener().Open(sealed)
	must(t, err)
	owner, err := seal.ParseOwner(text)
	must(t, err)
	if !owner.Public().Equal(p.upload.Owner) {
		t.Fatal("another owner came back")
	}
	text, err = p.upload.Secrets.MarshalText()
	must(t, err)
	secrets, err := seal.ParseSecrets(text)
	must(t, err)
	if secrets != p.upload.Secrets {
		t.Fatal("other secrets came back")
	}
}

func TestNamesDependOnTheKeyAndTheRole(t *testing.T) {
	a, b := newPractice(t).upload.Namer(), newPractice(t).upload.Namer()
	data := []byte("the same bytes")
	if again := bytes.Clone(data); a.Chunk(data) != a.Chunk(again) || a.Path(data) != a.Path(again) {
		t.Fatal("names differ for the same bytes")
	}
	if a.Chunk(data) == b.Chunk(data) || a.Path(data) == b.Path(data) || a.Chunk(data) == a.Path(data) || a.Cut() == b.Cut() {
		t.Fatal("names are equal for other keys or roles")
	}
}

func TestOwnerBelongsToTheRestoreKey(t *testing.T) {
	a, b := newPractice(t).restore, newPractice(t).restore
	again, err := seal.ParseRestoreKey(a.Text())
	must(t, err)
	if !a.Owner().Public().Equal(again.Owner().Public()) || a.Owner().Public().Equal(b.Owner().Public()) {
		t.Fatal("owner key does not follow from the restore key")
	}
	f := seal.Fingerprint(a.Owner().Public())
	if len(f) != 24 || strings.Count(f, "-") != 4 || f == seal.Fingerprint(b.Owner().Public()) {
		t.Fatalf("fingerprint %q", f)
	}
}

func TestSecretsThatTheOwnerDidNotSignAreRefused(t *testing.T) {
	p, thief := newPractice(t), newPractice(t)
	const repository = "0123456789abcdef"
	to := p.restore.Recipient()
	good, err := p.restore.Owner().SealSecrets(p.upload.Secrets, repository, to)
	must(t, err)
	if got, err := p.restore.OpenSecrets(good, repository); err != nil || got != p.upload.Secrets {
		t.Fatalf("own secrets: %v", err)
	}
	if _, err := p.restore.OpenSecrets(good, "fedcba9876543210"); !errors.Is(err, seal.ErrSignature) {
		t.Errorf("of another repository: %v", err)
	}
	forged, err := thief.restore.Owner().SealSecrets(thief.upload.Secrets, repository, to)
	must(t, err)
	if _, err := p.restore.OpenSecrets(forged, repository); !errors.Is(err, seal.ErrSignature) {
		t.Errorf("signed by a thief: %v", err)
	}
	text, err := thief.upload.Secrets.MarshalText()
	must(t, err)
	bare, err := seal.SealTo(to, text)
	must(t, err)
	if _, err := p.restore.OpenSecrets(bare, repository); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("not signed: %v", err)
	}
	if _, err := thief.restore.OpenSecrets(good, repository); !errors.Is(err, seal.ErrNotForThisKey) {
		t.Errorf("other restore key: %v", err)
	}
}

func TestGoldenOwnerFollowsFromTheGoldenRestoreKey(t *testing.T) {
	const want = "7dd0f56b229737ab64eda72f52e8a9002decca533653624cd133dc6af0da01b9"
	if got := hex.EncodeToString(goldenKeys(t).restore.Owner().Public()); got != want {
		t.Errorf("owner key is %s, want %s", got, want)
	}
}
