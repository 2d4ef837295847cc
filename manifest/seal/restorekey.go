package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"filippo.io/age"
)

// RestoreKey opens everything a practice has stored. It never lives on the
// practice PC: it stands on the recovery sheet and, sealed to each recovery
// holder, in the store.
type RestoreKey struct{ id *age.HybridIdentity }

const restoreKeyComment = "# offsite restore key. Whoever has it can read every backup of the practice."

// NewRestoreKey makes a restore key.
func NewRestoreKey() (*RestoreKey, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("make restore key: %w", err)
	}
	return &RestoreKey{id}, nil
}

// ParseRestoreKey reads an age identity file with exactly one hybrid identity.
// It forgives what happens when a person copies the key from paper: line ends,
// blanks anywhere, and small letters. The key's own checksum finds wrong characters.
func ParseRestoreKey(text []byte) (*RestoreKey, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("read restore key: longer than %d bytes: %w", maxKeyText, ErrKeyText)
	}
	var key strings.Builder
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		for word := range bytes.FieldsSeq(line) {
			key.Write(bytes.ToUpper(word))
		}
	}
	if key.Len() == 0 {
		return nil, fmt.Errorf("read restore key: no key in it: %w", ErrKeyText)
	}
	id, err := parseHybrid(key.String())
	if err != nil {
		return nil, fmt.Errorf("read restore key: %w", err)
	}
	return &RestoreKey{id}, nil
}

// Text is the identity file: a comment and the key. It is secret, and it is what
// recovery holders' files contain, so that the age program alone can use it.
func (k *RestoreKey) Text() []byte {
	return []byte(restoreKeyComment + "\n" + k.id.String() + "\n")
}

// Line is the key alone, for the recovery sheet. It is secret.
func (k *RestoreKey) Line() string { return k.id.String() }

// Recipient is the public half, which upload keys carry.
func (k *RestoreKey) Recipient() string { return k.id.Recipient().String() }

// Opener opens what was sealed to this key.
func (k *RestoreKey) Opener() *Opener { return &Opener{ids: []age.Identity{k.id}} }

// Format keeps the key out of logs and messages, whatever the verb.
func (k RestoreKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[restore key]") }

// LogValue keeps the key out of structured logs.
func (k RestoreKey) LogValue() slog.Value { return slog.StringValue("[restore key]") }

// Owner is the key that signs the store header, the enrolment of PCs and changes
// of recovery holders. Its text is kept sealed to the restore key.
type Owner struct{ key ed25519.PrivateKey }

// OwnerID is the signer id of the owner key.
const OwnerID = "owner"

const ownerHeader = "offsite owner key v1"

// NewOwner makes an owner key.
func NewOwner() (*Owner, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make owner key: %w", err)
	}
	return &Owner{key}, nil
}

// ParseOwner reads what Text wrote and accepts nothing else.
func ParseOwner(text []byte) (*Owner, error) {
	values, err := readFields(ownerHeader, text, "signing")
	if err != nil {
		return nil, fmt.Errorf("read owner key: %w", err)
	}
	seed := make([]byte, ed25519.SeedSize)
	if err := parseHex(seed, "signing", values); err != nil {
		return nil, fmt.Errorf("read owner key: %w", err)
	}
	return &Owner{ed25519.NewKeyFromSeed(seed)}, nil
}

// Text writes the owner key in the form of FORMAT.md, to be sealed to the restore key.
func (o *Owner) Text() []byte {
	return writeFields(ownerHeader, []field{{"signing", hex.EncodeToString(o.key.Seed())}})
}

// Public is the half that upload keys carry.
func (o *Owner) Public() ed25519.PublicKey { return o.key.Public().(ed25519.PublicKey) }

// Sign signs payload in the owner's name; see the function Sign.
func (o *Owner) Sign(domain string, payload []byte) ([]byte, error) {
	return Sign(domain, payload, OwnerID, o.key)
}

// Format keeps the key out of logs and messages, whatever the verb.
func (o Owner) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[owner key]") }

// LogValue keeps the key out of structured logs.
func (o Owner) LogValue() slog.Value { return slog.StringValue("[owner key]") }
