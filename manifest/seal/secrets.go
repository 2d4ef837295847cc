package seal

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"

	"filippo.io/age"
)

// Secrets are shared by all PCs of one practice, so that they name, cut and find
// chunks alike. They open index segments; they open no pack.
type Secrets struct {
	Naming [32]byte // keys the chunk names
	Cut    [32]byte // keys the cut points
	Index  string   // age identity that opens index segments
}

// NewSecrets makes the secrets of a new practice.
func NewSecrets() (Secrets, error) {
	var s Secrets
	rand.Read(s.Naming[:])
	rand.Read(s.Cut[:])
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return Secrets{}, fmt.Errorf("make index identity: %w", err)
	}
	s.Index = id.String()
	return s, nil
}

const secretsHeader = "offsite naming secrets v1"

// MarshalText writes the secrets in the form of FORMAT.md, to be sealed to the
// restore key.
func (s Secrets) MarshalText() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("write naming secrets: %w", err)
	}
	return writeFields(secretsHeader, s.fields()), nil
}

func (s Secrets) fields() []field {
	return []field{
		{"naming", hex.EncodeToString(s.Naming[:])},
		{"cut", hex.EncodeToString(s.Cut[:])},
		{"index", s.Index},
	}
}

func (s Secrets) check() error {
	if s.Naming == [32]byte{} || s.Cut == [32]byte{} {
		return fmt.Errorf("a secret is missing: %w", ErrKeyText)
	}
	_, err := parseHybrid(s.Index)
	return err
}

// ParseSecrets reads what MarshalText wrote and accepts nothing else.
func ParseSecrets(text []byte) (Secrets, error) {
	values, err := readFields(secretsHeader, text, "naming", "cut", "index")
	if err != nil {
		return Secrets{}, fmt.Errorf("read naming secrets: %w", err)
	}
	s, err := secretsFrom(values)
	if err != nil {
		return Secrets{}, fmt.Errorf("read naming secrets: %w", err)
	}
	return s, nil
}

func secretsFrom(values map[string]string) (Secrets, error) {
	s := Secrets{Index: values["index"]}
	if err := parseHex(s.Naming[:], "naming", values); err != nil {
		return Secrets{}, err
	}
	if err := parseHex(s.Cut[:], "cut", values); err != nil {
		return Secrets{}, err
	}
	if err := s.check(); err != nil {
		return Secrets{}, err
	}
	return s, nil
}

// parseHybrid reads a hybrid identity, in the one spelling that age writes.
func parseHybrid(text string) (*age.HybridIdentity, error) {
	id, err := age.ParseHybridIdentity(text)
	if err != nil || id.String() != text {
		// age's own text is left out: it may quote the secret.
		return nil, fmt.Errorf("read age identity: %w", ErrKeyText)
	}
	return id, nil
}

// Format keeps secrets out of logs and messages, whatever the verb.
func (s Secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[naming secrets]") }

// LogValue keeps secrets out of structured logs.
func (s Secrets) LogValue() slog.Value { return slog.StringValue("[naming secrets]") }

// NewID returns a fresh random identifier of 16 hexadecimal digits, fit for a
// repository or a PC.
func NewID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
