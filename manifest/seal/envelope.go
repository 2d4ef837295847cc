package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxSigned bounds a signed object: objects are at most 64 MiB, and a record is
// mostly a list of pack names of which 16 MiB hold those of several terabytes.
const MaxSigned = 16 << 20

const (
	envelopeStart  = `{"payload":`
	envelopeSigner = `,"signer":"`
	envelopeSig    = `","sig":"`
	envelopeEnd    = `"}`
	// sigChars is the length of 64 bytes in padded base64.
	sigChars = 88
)

var errNotCanonical = errors.New("not in canonical form")

// Sign wraps payload, a canonical JSON object, in a signed envelope:
//
//	{"payload":{...},"signer":"<id>","sig":"<base64>"}
//
// The Ed25519 signature covers the domain, a line feed and the payload's bytes.
// The domain says what kind of statement this is, so that none passes for another.
func Sign(domain string, payload []byte, signer string, key ed25519.PrivateKey) ([]byte, error) {
	if err := checkID("signer", signer); err != nil {
		return nil, fmt.Errorf("sign %s: %w", domain, err)
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign %s: signing key has the wrong length: %w", domain, ErrKeyText)
	}
	if err := checkPayload(payload); err != nil {
		return nil, fmt.Errorf("sign %s: %w", domain, err)
	}
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(key, signedBytes(domain, payload)))
	var b bytes.Buffer
	b.Grow(len(payload) + 256)
	b.WriteString(envelopeStart)
	b.Write(payload)
	b.WriteString(envelopeSigner + signer + envelopeSig + sig + envelopeEnd)
	if b.Len() > MaxSigned {
		return nil, fmt.Errorf("sign %s: longer than %d bytes", domain, MaxSigned)
	}
	return b.Bytes(), nil
}

// OpenSigned returns the payload and the signer of an envelope. It asks trust for
// the signer's public key; an error of trust refuses the signer. The payload is a
// part of data, not a copy.
func OpenSigned(domain string, data []byte, trust func(signer string) (ed25519.PublicKey, error)) (payload []byte, signer string, err error) {
	payload, signer, sig, err := split(data)
	if err != nil {
		return nil, "", fmt.Errorf("open signed %s: %w: %w", domain, ErrDamaged, err)
	}
	key, err := trust(signer)
	if err != nil {
		return nil, signer, fmt.Errorf("open signed %s: %w: %w", domain, ErrUntrustedSigner, err)
	}
	if len(key) != ed25519.PublicKeySize {
		return nil, signer, fmt.Errorf("open signed %s: %w", domain, ErrUntrustedSigner)
	}
	if !ed25519.Verify(key, signedBytes(domain, payload), sig) {
		return nil, signer, fmt.Errorf("open signed %s: %w", domain, ErrSignature)
	}
	return payload, signer, nil
}

func signedBytes(domain string, payload []byte) []byte {
	b := make([]byte, 0, len(domain)+1+len(payload))
	b = append(b, domain...)
	b = append(b, '\n')
	return append(b, payload...)
}

// split takes an envelope apart from its end, where everything has a fixed form,
// and accepts only what Sign writes.
func split(data []byte) (payload []byte, signer string, sig []byte, err error) {
	if len(data) > MaxSigned {
		return nil, "", nil, fmt.Errorf("longer than %d bytes", MaxSigned)
	}
	rest, ok := bytes.CutPrefix(data, []byte(envelopeStart))
	if !ok {
		return nil, "", nil, errNotCanonical
	}
	rest, ok = bytes.CutSuffix(rest, []byte(envelopeEnd))
	if !ok || len(rest) < sigChars {
		return nil, "", nil, errNotCanonical
	}
	sig, err = base64.StdEncoding.Strict().DecodeString(string(rest[len(rest)-sigChars:]))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, "", nil, errNotCanonical
	}
	rest, ok = bytes.CutSuffix(rest[:len(rest)-sigChars], []byte(envelopeSig))
	if !ok {
		return nil, "", nil, errNotCanonical
	}
	at := bytes.LastIndexByte(rest, '"') + 1
	signer = string(rest[at:])
	if checkID("signer", signer) != nil {
		return nil, "", nil, errNotCanonical
	}
	payload, ok = bytes.CutSuffix(rest[:at], []byte(envelopeSigner))
	if !ok {
		return nil, "", nil, errNotCanonical
	}
	return payload, signer, sig, checkPayload(payload)
}

// checkPayload requires one JSON object without blanks between its parts. Order
// and repetition of fields are for the record's own decoder, which writes what it
// read again and compares.
func checkPayload(payload []byte) error {
	if len(payload) == 0 || payload[0] != '{' {
		return errNotCanonical
	}
	if !utf8.Valid(payload) {
		return errNotCanonical
	}
	var b bytes.Buffer
	if err := json.Compact(&b, payload); err != nil || !bytes.Equal(b.Bytes(), payload) {
		return errNotCanonical
	}
	return nil
}
