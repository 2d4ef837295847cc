package config_test

import (
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"offsite/cmd/offsite/config"
)

func TestSecretsOfTheKeyring(t *testing.T) {
	keyring.MockInit()
	if err := keyring.Set(config.KeyringService, "azure-sas", "sv=1&sig=s"); err != nil {
		t.Fatal(err)
	}
	none := func(string) (string, bool) { return "", false }
	var s config.Secret
	if err := s.UnmarshalText([]byte("keyring:azure-sas")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Resolve(none); err != nil || got != "sv=1&sig=s" {
		t.Errorf("%q, %v", got, err)
	}
	if s.String() != "keyring:azure-sas" {
		t.Errorf("written as %q", s)
	}
	if err := s.UnmarshalText([]byte("keyring:missing")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Resolve(none); err == nil || got != "" || !strings.Contains(err.Error(), "missing") {
		t.Errorf("%q, %v", got, err)
	}
}
