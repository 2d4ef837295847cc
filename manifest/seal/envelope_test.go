package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"offsite/manifest/seal"
)

func trusting(p practice) func(string) (ed25519.PublicKey, error) {
	return func(signer string) (ed25519.PublicKey, error) {
		switch signer {
		case p.upload.PC:
			return p.upload.Public(), nil
		case seal.OwnerID:
			return p.owner.Public(), nil
		}
		return nil, errors.New("not enrolled")
	}
}

func TestEnvelopeIsPlainJSON(t *testing.T) {
	p := newPractice(t)
	data, err := p.owner.Sign("header v1", []byte(`{"b":"\"}","a":[1,2.50,{"c":null}]}`))
	must(t, err)
	var e struct {
		Payload json.RawMessage
		Signer  string
		Sig     []byte
	}
	must(t, json.Unmarshal(data, &e))
	if e.Signer != "owner" || !ed25519.Verify(p.owner.Public(), append([]byte("header v1\n"), e.Payload...), e.Sig) {
		t.Fatalf("envelope %s does not verify as documented", data)
	}
}

func TestSignRefusesWhatIsNotCanonical(t *testing.T) {
	p := newPractice(t)
	for _, payload := range []string{"", "null", "[]", "1", `"a"`, `{"a":1} `, ` {"a":1}`, `{ "a":1}`, `{"a": 1}`, `{"a":1}{}`, `{"a"}`, "{\"a\":\"\xff\"}", "{\"a\":\n1}"} {
		if data, err := p.upload.Sign("record v1", []byte(payload)); err == nil {
			t.Errorf("signed %q as %s", payload, data)
		}
	}
	if _, err := seal.Sign("record v1", []byte(`{}`), `a","sig":"`, p.upload.Signing); err == nil {
		t.Error("signed in the name of a broken signer")
	}
	if _, err := seal.Sign("record v1", []byte(`{}`), "a", nil); err == nil {
		t.Error("signed without a key")
	}
}

func TestOpenSignedAcceptsOneSpellingOnly(t *testing.T) {
	p, other := newPractice(t), newPractice(t)
	const payload = `{"a":"x","b":[1]}`
	data, err := p.upload.Sign("record v1", []byte(payload))
	must(t, err)
	foreign, err := other.upload.Sign("record v1", []byte(payload))
	must(t, err)
	s := string(data)
	sigAt := strings.Index(s, `"sig":"`) + len(`"sig":"`)
	changed := []byte(s)
	if changed[sigAt] = 'A'; s[sigAt] == 'A' {
		changed[sigAt] = 'B'
	}
	for name, c := range map[string]struct {
		data string
		want error
	}{
		"empty":                 {"", seal.ErrDamaged},
		"cut off":               {s[:len(s)-1], seal.ErrDamaged},
		"line feed at the end":  {s + "\n", seal.ErrDamaged},
		"blank in front":        {" " + s, seal.ErrDamaged},
		"blank inside":          {strings.Replace(s, `,"signer"`, `, "signer"`, 1), seal.ErrDamaged},
		"blank in the payload":  {strings.Replace(s, `"a":`, `"a": `, 1), seal.ErrDamaged},
		"other order":           {`{"signer":"` + p.upload.PC + `","payload":` + payload + `,"sig":"` + s[sigAt:], seal.ErrDamaged},
		"one more field":        {strings.Replace(s, `,"sig"`, `,"x":1,"sig"`, 1), seal.ErrDamaged},
		"no payload":            {strings.Replace(s, payload, "", 1), seal.ErrDamaged},
		"payload is a list":     {strings.Replace(s, payload, "[]", 1), seal.ErrDamaged},
		"payload changed":       {strings.Replace(s, `"x"`, `"y"`, 1), seal.ErrSignature},
		"payload wrapped":       {strings.Replace(s, payload, `{"p":`+payload+`}`, 1), seal.ErrSignature},
		"signature changed":     {string(changed), seal.ErrSignature},
		"signature of owner":    {strings.Replace(s, p.upload.PC, "owner", 1), seal.ErrSignature},
		"signature with breaks": {s[:sigAt] + "\n\n\n\n" + s[sigAt+4:], seal.ErrDamaged},
		"loose end bits":        {s[:len(s)-5] + "B==" + s[len(s)-2:], seal.ErrDamaged},
		"foreign signer":        {string(foreign), seal.ErrUntrustedSigner},
		"signer in capitals":    {strings.Replace(s, p.upload.PC, "PC", 1), seal.ErrDamaged},
		"much too long":         {envelopeOf(strings.Repeat("x", seal.MaxSigned)), seal.ErrDamaged},
	} {
		if c.data == s {
			t.Errorf("%s: nothing changed", name)
		}
		if got, _, err := seal.OpenSigned("record v1", []byte(c.data), trusting(p)); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func envelopeOf(s string) string {
	return `{"payload":{"a":"` + s + `"},"signer":"owner","sig":"` + strings.Repeat("A", 86) + `=="}`
}

func TestSignerMustBeKnownByAWholeKey(t *testing.T) {
	p := newPractice(t)
	data, err := p.upload.Sign("record v1", []byte(`{}`))
	must(t, err)
	for _, key := range []ed25519.PublicKey{nil, p.upload.Public()[:31], append(bytes.Clone(p.upload.Public()), 0)} {
		_, _, err := seal.OpenSigned("record v1", data, func(string) (ed25519.PublicKey, error) { return key, nil })
		if !errors.Is(err, seal.ErrUntrustedSigner) {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
}
