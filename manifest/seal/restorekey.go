package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"filippo.io/age"
	"github.com/zeebo/blake3"
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

// Owner is the owner key that belongs to this restore key. It is derived, not
// stored: anybody can seal something to the restore key's public half, so an owner
// key that was merely found sealed in the store could be a thief's.
func (k *RestoreKey) Owner() *Owner {
	var seed [ed25519.SeedSize]byte
	blake3.DeriveKey(ownerContext, []byte(k.id.String()), seed[:])
	return &Owner{ed25519.NewKeyFromSeed(seed[:])}
}

// OpenSecrets opens what Owner.SealSecrets wrote, and refuses secrets that this
// restore key's owner did not sign for this repository.
func (k *RestoreKey) OpenSecrets(sealed []byte, repository string) (Secrets, error) {
	signed, err := k.Opener().Open(sealed)
	if err != nil {
		return Secrets{}, err
	}
	owner := k.Owner().Public()
	payload, _, err := OpenSigned(secretsDomain, signed, func(signer string) (ed25519.PublicKey, error) {
		if signer != OwnerID {
			return nil, errors.New("not the owner")
		}
		return owner, nil
	})
	if err != nil {
		return Secrets{}, err
	}
	var body sealedSecrets
	err = json.Unmarshal(payload, &body)
	if again, _ := json.Marshal(body); err != nil || !bytes.Equal(again, payload) {
		return Secrets{}, fmt.Errorf("read naming secrets: %w", ErrDamaged)
	}
	if body.Repository != repository {
		return Secrets{}, fmt.Errorf("read naming secrets: of another repository: %w", ErrSignature)
	}
	return ParseSecrets([]byte(body.Secrets))
}

// Format keeps the key out of logs and messages, whatever the verb.
func (k RestoreKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[restore key]") }

// LogValue keeps the key out of structured logs.
func (k RestoreKey) LogValue() slog.Value { return slog.StringValue("[restore key]") }
