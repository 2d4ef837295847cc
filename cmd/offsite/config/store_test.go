package config_test

import (
	"strings"
	"testing"

	"offsite/cmd/offsite/config"
)

func TestStoreInOneWord(t *testing.T) {
	for text, want := range map[string]string{
		"dir:/mnt/what?is=this": "dir:/mnt/what?is=this",
		"s3://bucket/a/b":       "s3://bucket/a/b",
		"s3://bucket?region=eu-west-2&endpoint=https://s3.example.net&path_style=true": "s3://bucket?endpoint=https://s3.example.net&region=eu-west-2&path_style=true",
		"s3://bucket?access_key=env:A&secret_key=keyring:b":                            "s3://bucket",
		"azblob://account/container/p?leases=last-access&keep_days=90&sas=file:/s":     "azblob://account/container/p?leases=last-access&keep_days=90",
		"gs://bucket?credentials=file:/k.json":                                         "gs://bucket",
	} {
		s, err := config.ParseStore(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.Reference(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		again, err := config.ParseStore(s.Reference())
		if err != nil || again.Reference() != want {
			t.Errorf("%s: read again as %s, %v", text, again.Reference(), err)
		}
	}
}

func TestStoreInOneWordRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"s3://bucket?secret_key=hunter2hunter2&access_key=env:A": "a secret never stands",
		"s3://bucket?access_key=env:A":                           "belong together",
		"s3://bucket?regoin=x":                                   "takes no",
		"gs://bucket?region=x":                                   "takes no",
		"s3://bucket?endpoint=https://k:s@host":                  "not an address of a service",
		"s3://bucket?leases=maybe":                               "keeps no leases by",
		"azblob://account/container?leases=last-access":          "belong together",
		"s3://bucket?region":                                     "no value",
		"s3://bucket?proxy=http://u:p@proxy":                     "not the address of a proxy",
	} {
		_, err := config.ParseStore(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret stands in the error: %v", err)
		}
	}
}

func TestSomebodyElsesCredentialsReplaceAll(t *testing.T) {
	s, err := config.ParseStore("s3://bucket?region=eu-west-2&access_key=env:A&secret_key=env:B")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.As("profile=admin")
	if err != nil || other.Profile != "admin" || other.AccessKey != (config.Secret{}) || other.SecretKey != (config.Secret{}) || other.Region != "eu-west-2" {
		t.Errorf("%+v, %v", other, err)
	}
	if none, err := s.As(""); err != nil || none.AccessKey != (config.Secret{}) {
		t.Errorf("%+v, %v", none, err)
	}
	if _, err := s.As("region=us-east-1"); err == nil {
		t.Error("--with changed where the store is")
	}
	if s.AccessKey == (config.Secret{}) {
		t.Error("the uploader's own block was changed")
	}
}
