package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"

	"offsite/manifest/seal"
)

const passphrase = "correct horse battery"

func passphraseFile(t *testing.T, p practice, work int) []byte {
	t.Helper()
	h, err := seal.PassphraseHolder(passphrase, work)
	must(t, err)
	data, err := seal.SealToHolder(p.restore, h)
	must(t, err)
	return data
}

func TestHoldersGetTheRestoreKeyBack(t *testing.T) {
	p := newPractice(t)
	pq, err := age.GenerateHybridIdentity()
	must(t, err)
	x, err := age.GenerateX25519Identity()
	must(t, err)
	for _, c := range []struct {
		name        string
		public      string
		private     string
		postQuantum bool
	}{
		{"post-quantum", pq.Recipient().String(), pq.String(), true},
		{"older kind", " " + x.Recipient().String() + "\n", "# mine\r\n\r\n" + x.String() + "\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := seal.RecipientHolder(c.public, seal.Ask{})
			must(t, err)
			if h.Kind != seal.KindAge || h.PostQuantum != c.postQuantum {
				t.Errorf("holder is %v, post-quantum %v", h.Kind, h.PostQuantum)
			}
			data, err := seal.SealToHolder(p.restore, h)
			must(t, err)
			k, err := seal.OpenHolder(data, seal.Unlock{Identities: []byte(c.private), Passphrase: "also given"})
			must(t, err)
			if k.Line() != p.restore.Line() {
				t.Error("another key came back")
			}
		})
	}
}

// What the age program does with a holder's file and then with a pack, step by step.
func TestAgeAloneOpensHolderFileAndPack(t *testing.T) {
	p := newPractice(t)
	id, err := age.NewScryptIdentity(passphrase)
	must(t, err)
	r, err := age.Decrypt(bytes.NewReader(passphraseFile(t, p, 2)), id)
	must(t, err)
	ids, err := age.ParseIdentities(r)
	must(t, err)
	pack, err := newSealer(t, p.upload).Pack(nil, []byte("plain"))
	must(t, err)
	r, err = age.Decrypt(bytes.NewReader(pack), ids...)
	must(t, err)
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(r); err != nil || plain.String() != "plain" {
		t.Fatalf("got %q, %v", plain.String(), err)
	}
}

func TestOpenHolderSaysWhatIsWrong(t *testing.T) {
	p := newPractice(t)
	mine, err := age.GenerateHybridIdentity()
	must(t, err)
	other, err := age.GenerateHybridIdentity()
	must(t, err)
	h, err := seal.RecipientHolder(mine.Recipient().String(), seal.Ask{})
	must(t, err)
	toKey, err := seal.SealToHolder(p.restore, h)
	must(t, err)
	toPass := passphraseFile(t, p, 2)
	greedy := bytes.Replace(toPass, []byte(" 2\n"), []byte(" 30\n"), 1)
	broken := bytes.Clone(toPass)
	broken[len(broken)-1] ^= 1
	notOurs, err := seal.SealTo(mine.Recipient().String(), []byte("no restore key"))
	must(t, err)
	for name, c := range map[string]struct {
		data []byte
		u    seal.Unlock
		want error
	}{
		"wrong passphrase":               {toPass, seal.Unlock{Passphrase: "something else"}, seal.ErrWrongPassphrase},
		"wrong passphrase, and a key":    {toPass, seal.Unlock{Passphrase: "something else", Identities: []byte(other.String())}, seal.ErrWrongPassphrase},
		"key for a passphrase file":      {toPass, seal.Unlock{Identities: []byte(mine.String())}, seal.ErrNotForThisKey},
		"passphrase for a key file":      {toKey, seal.Unlock{Passphrase: passphrase}, seal.ErrNotForThisKey},
		"other key":                      {toKey, seal.Unlock{Identities: []byte(other.String())}, seal.ErrNotForThisKey},
		"nothing given":                  {toKey, seal.Unlock{}, seal.ErrNotForThisKey},
		"damaged end":                    {broken, seal.Unlock{Passphrase: passphrase}, seal.ErrDamaged},
		"asks for too much work":         {greedy, seal.Unlock{Passphrase: passphrase}, seal.ErrDamaged},
		"empty":                          {nil, seal.Unlock{Passphrase: passphrase}, seal.ErrDamaged},
		"identity file without identity": {toKey, seal.Unlock{Identities: []byte("# none\n")}, seal.ErrKeyText},
		"identity file with rubbish":     {toKey, seal.Unlock{Identities: []byte(mine.String() + "\nrubbish\n")}, seal.ErrKeyText},
		"too many identities":            {toKey, seal.Unlock{Identities: []byte(strings.Repeat(mine.String()+"\n", 17))}, seal.ErrKeyText},
		"holds something else":           {notOurs, seal.Unlock{Identities: []byte(mine.String())}, seal.ErrKeyText},
	} {
		if _, err := seal.OpenHolder(c.data, c.u); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestHoldersAreNotMadeOfBadParts(t *testing.T) {
	p := newPractice(t)
	for name, public := range map[string]string{
		"empty":       "",
		"private key": p.restore.Line(),
		"cut off":     p.restore.Recipient()[:200],
		"e-mail":      "owner@practice.example",
		"bad ssh key": "ssh-dss AAAA",
	} {
		_, err := seal.RecipientHolder(public, seal.Ask{})
		if err == nil || len(public) > 30 && strings.Contains(err.Error(), public[20:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := seal.PassphraseHolder("too short", 2); !errors.Is(err, seal.ErrKeyText) {
		t.Errorf("short passphrase: %v", err)
	}
	for _, work := range []int{-1, 21, 64} {
		if _, err := seal.PassphraseHolder(passphrase, work); err == nil {
			t.Errorf("work factor %d accepted", work)
		}
	}
	if _, err := seal.SealToHolder(p.restore, seal.Holder{}); err == nil {
		t.Error("sealed to an empty holder")
	}
}

func TestMissingPluginIsSaidToBeMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := newPractice(t)
	// A recipient of the YubiKey plug-in, as its manual shows it.
	const public = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"
	h, err := seal.RecipientHolder(public, seal.Ask{})
	must(t, err)
	if h.Kind != seal.KindPlugin {
		t.Fatalf("holder is %v", h.Kind)
	}
	if _, err := seal.SealToHolder(p.restore, h); err == nil || !strings.Contains(err.Error(), "yubikey") {
		t.Errorf("sealing without the plug-in: %v", err)
	}
}
