package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"

	"filippo.io/age"
)

// UploadKey is what a practice PC holds. It names and finds chunks, seals packs
// and signs records; it opens no pack.
type UploadKey struct {
	Repository string // id of the practice's repository
	PC         string // id of this PC; the signer of its records
	Restore    string // public half of the restore key
	Secrets
	Signing ed25519.PrivateKey
	Owner   ed25519.PublicKey // signs the store header and the enrolment of PCs
}

const uploadKeyHeader = "offsite upload key v1"

// NewUploadKey makes the key of one PC: everything shared is given, the signing
// key is new.
func NewUploadKey(repository, pc, restore string, secrets Secrets, owner ed25519.PublicKey) (*UploadKey, error) {
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	k := &UploadKey{Repository: repository, PC: pc, Restore: restore, Secrets: secrets, Signing: signing, Owner: owner}
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("make upload key: %w", err)
	}
	return k, nil
}

func (k UploadKey) check() error {
	if err := checkID("repository", k.Repository); err != nil {
		return err
	}
	if err := checkID("pc", k.PC); err != nil {
		return err
	}
	if _, err := parseRestoreRecipient(k.Restore); err != nil {
		return err
	}
	if err := k.Secrets.check(); err != nil {
		return err
	}
	if len(k.Signing) != ed25519.PrivateKeySize || len(k.Owner) != ed25519.PublicKeySize {
		return fmt.Errorf("signing key or owner key has the wrong length: %w", ErrKeyText)
	}
	return nil
}

// MarshalText writes the upload key file of FORMAT.md. The text is secret.
func (k UploadKey) MarshalText() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("write upload key: %w", err)
	}
	fields := []field{{"repository", k.Repository}, {"pc", k.PC}, {"restore", k.Restore}}
	fields = append(fields, k.Secrets.fields()...)
	fields = append(fields,
		field{"signing", hex.EncodeToString(k.Signing.Seed())},
		field{"owner", hex.EncodeToString(k.Owner)})
	return writeFields(uploadKeyHeader, fields), nil
}

// ParseUploadKey reads what MarshalText wrote and accepts nothing else.
func ParseUploadKey(text []byte) (*UploadKey, error) {
	values, err := readFields(uploadKeyHeader, text,
		"repository", "pc", "restore", "naming", "cut", "index", "signing", "owner")
	if err != nil {
		return nil, fmt.Errorf("read upload key: %w", err)
	}
	k := &UploadKey{Repository: values["repository"], PC: values["pc"], Restore: values["restore"]}
	if k.Secrets, err = secretsFrom(values); err != nil {
		return nil, fmt.Errorf("read upload key: %w", err)
	}
	seed := make([]byte, ed25519.SeedSize)
	if err := parseHex(seed, "signing", values); err != nil {
		return nil, fmt.Errorf("read upload key: %w", err)
	}
	k.Signing = ed25519.NewKeyFromSeed(seed)
	k.Owner = make([]byte, ed25519.PublicKeySize)
	if err := parseHex(k.Owner, "owner", values); err != nil {
		return nil, fmt.Errorf("read upload key: %w", err)
	}
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("read upload key: %w", err)
	}
	return k, nil
}

// Public is the public half of the PC's signing key, as its enrolment names it.
func (k *UploadKey) Public() ed25519.PublicKey {
	return k.Signing.Public().(ed25519.PublicKey)
}

// Sign signs payload in the PC's name; see the function Sign.
func (k *UploadKey) Sign(domain string, payload []byte) ([]byte, error) {
	return Sign(domain, payload, k.PC, k.Signing)
}

// Format keeps the key out of logs and messages, whatever the verb.
func (k UploadKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[upload key of "+k.PC+"]") }

// LogValue keeps the key out of structured logs.
func (k UploadKey) LogValue() slog.Value { return slog.StringValue("[upload key of " + k.PC + "]") }

// parseRestoreRecipient reads the public half of a restore key, in the one
// spelling that age writes.
func parseRestoreRecipient(text string) (*age.HybridRecipient, error) {
	r, err := age.ParseHybridRecipient(text)
	if err != nil || r.String() != text {
		return nil, fmt.Errorf("read age recipient: %w", ErrKeyText)
	}
	return r, nil
}
