package seal_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"offsite/manifest/seal"
)

func TestSSHHolderGetsTheRestoreKeyBack(t *testing.T) {
	p := newPractice(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, key := range map[string]crypto.Signer{"ed25519": ed, "rsa": rs} {
		t.Run(name, func(t *testing.T) {
			public, err := ssh.NewPublicKey(key.Public())
			must(t, err)
			h, err := seal.RecipientHolder(string(ssh.MarshalAuthorizedKey(public)), seal.Ask{})
			must(t, err)
			if h.Kind != seal.KindSSH || h.PostQuantum {
				t.Fatalf("holder is %+v", h)
			}
			data, err := seal.SealToHolder(p.restore, h)
			must(t, err)

			open, err := ssh.MarshalPrivateKey(key, "")
			must(t, err)
			locked, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("secret"))
			must(t, err)
			says := func(s string) func() ([]byte, error) {
				return func() ([]byte, error) { return []byte(s), nil }
			}
			for _, u := range []seal.Unlock{
				{SSHKey: pem.EncodeToMemory(open)},
				{SSHKey: pem.EncodeToMemory(locked), SSHPassphrase: says("secret")},
			} {
				k, err := seal.OpenHolder(data, u)
				must(t, err)
				if !bytes.Equal(k.Text(), p.restore.Text()) {
					t.Fatal("another key came back")
				}
			}
			_, err = seal.OpenHolder(data, seal.Unlock{SSHKey: pem.EncodeToMemory(locked)})
			if !errors.Is(err, seal.ErrWrongPassphrase) {
				t.Fatalf("protected key without passphrase: %v", err)
			}
			_, err = seal.OpenHolder(data, seal.Unlock{SSHKey: pem.EncodeToMemory(locked), SSHPassphrase: says("other")})
			if err == nil || errors.Is(err, seal.ErrDamaged) {
				t.Fatalf("protected key with the wrong passphrase: %v", err)
			}
		})
	}
}
