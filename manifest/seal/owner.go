package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
)

// Owner is the key that signs the store header, the enrolment of PCs and changes
// of recovery holders. Whoever has the restore key has it: RestoreKey.Owner.
type Owner struct{ key ed25519.PrivateKey }

// OwnerID is the signer id of the owner key.
const OwnerID = "owner"

const (
	ownerHeader   = "offsite owner key v1"
	ownerContext  = "offsite 2026-11-22 owner key v1"
	secretsDomain = "offsite naming secrets v1"
)

// NewOwner makes an owner key that belongs to no restore key, for tests of those
// who check signatures. A repository's owner key is RestoreKey.Owner.
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

// sealedSecrets is what the owner signs. The fields are written in this order.
type sealedSecrets struct {
	Repository string `json:"repository"`
	Secrets    string `json:"secrets"`
}

// SealSecrets signs the naming secrets of a repository and seals them to the
// restore key's public half, so that a replaced PC can join. Without a signature a
// thief could put secrets of their own in their place.
func (o *Owner) SealSecrets(s Secrets, repository, restore string) ([]byte, error) {
	text, err := s.MarshalText()
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(sealedSecrets{repository, string(text)})
	if err != nil {
		return nil, fmt.Errorf("write naming secrets: %w", err)
	}
	signed, err := o.Sign(secretsDomain, payload)
	if err != nil {
		return nil, err
	}
	return SealTo(restore, signed)
}

// Fingerprint is the short form of a public signing key that people compare: the
// first 80 bits of its SHA-256, in groups.
func Fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	var groups []string
	for i := 0; i < 10; i += 2 {
		groups = append(groups, hex.EncodeToString(sum[i:i+2]))
	}
	return strings.Join(groups, "-")
}

// Format keeps the key out of logs and messages, whatever the verb.
func (o Owner) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[owner key]") }

// LogValue keeps the key out of structured logs.
func (o Owner) LogValue() slog.Value { return slog.StringValue("[owner key]") }
