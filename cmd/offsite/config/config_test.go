package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"offsite/cmd/offsite/config"
)

var update = flag.Bool("update", false, "write the expected errors of testdata")

func TestMistakesAreShownWithPlaceAndRemedy(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d golden files (%v)", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Files) != 2 {
				t.Fatalf("%d parts, want offsite.yaml and error", len(a.Files))
			}
			_, err = config.Parse("/etc/offsite/offsite.yaml", a.Files[0].Data)
			if err == nil {
				t.Fatal("accepted")
			}
			got := err.Error() + "\n"
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(a.Files[1].Data) {
				t.Errorf("got:\n%swant:\n%s", got, a.Files[1].Data)
			}
			if regexp.MustCompile(`\b(struct|string|int64|slice|nil|unmarshal|Go)\b`).MatchString(got) {
				t.Errorf("a word of the programming language stands in the error:\n%s", got)
			}
		})
	}
}

func TestExampleIsAcceptedAndStatesTheDefaults(t *testing.T) {
	got, err := config.Parse("/etc/offsite/offsite.yaml", []byte(config.Example))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	if !reflect.DeepEqual(got.Retention, want.Retention) || !reflect.DeepEqual(got.Calendar, want.Calendar) ||
		got.Source.Quiet != want.Source.Quiet ||
		got.Source.Profile != want.Source.Profile {
		t.Errorf("the example differs from the defaults:\n%+v\n%+v", got, want)
	}
	if got.UploadKey != "/etc/offsite/upload.key" {
		t.Errorf("upload key at %q", got.UploadKey)
	}
}

func TestExampleDocumentsEveryKey(t *testing.T) {
	switchedOn := regexp.MustCompile(`(?m)^( *)#( *)([a-z-])`).ReplaceAllStringFunc(config.Example, func(s string) string {
		if regexp.MustCompile(`^ *# [a-z]`).MatchString(s) {
			return s // a comment
		}
		return strings.Replace(s, "#", "", 1)
	})
	c, err := config.Parse("/etc/offsite/offsite.yaml", []byte(switchedOn))
	if err != nil {
		t.Fatalf("with every key switched on: %v\n%s", err, switchedOn)
	}
	if len(c.Stores) != 6 || !c.Schedule.Deadline.IsSet() || len(c.Calendar.Closed) != 2 {
		t.Errorf("not everything was switched on: %+v", c)
	}
	eachKey(reflect.TypeFor[config.Config](), func(key string) {
		if !regexp.MustCompile(`(?m)^[ -]*` + key + `:`).MatchString(switchedOn) {
			t.Errorf("the key %s is not in the example", key)
		}
	})
}

func eachKey(t reflect.Type, do func(key string)) {
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("yaml")
		if key == "" {
			continue
		}
		do(key)
		ft := t.Field(i).Type
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			eachKey(ft, do)
		}
	}
}

func TestRenderedFileHoldsTheValues(t *testing.T) {
	var dir, cloud config.Address
	for text, a := range map[string]*config.Address{`dir:D:\off'site`: &dir, "s3://practice-backup/a/b": &cloud} {
		if err := a.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := config.Render(config.Values{
		State: "/s", UploadKey: "/k", Name: "hill-road", Profile: "exact", Folders: []string{"/a b", `C:\Users\new`},
		Stores:  []config.Store{{Name: "nas", Address: dir}, {Name: "cloud", Address: cloud}},
		Country: "NZ", Zone: "Pacific/Auckland", FiscalYearEnd: "03-31",
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("/x/offsite.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Source.Name != "hill-road" || c.Source.Profile != "exact" || c.Calendar.Country != "NZ" || c.Stores[1].Address.Prefix != "a/b" ||
		c.Retention.FiscalYearEnd != (config.MonthDay{Month: 3, Day: 31}) || c.State != "/s" || len(c.Source.Folders) != 2 {
		t.Errorf("%+v", c)
	}
	if !strings.HasSuffix(string(c.Source.Folders[1]), `C:\Users\new`) {
		t.Errorf("folder %q", c.Source.Folders[1])
	}
}

func TestDurationIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2m": 2 * time.Minute, "1h30m": 90 * time.Minute, "10d": 240 * time.Hour, "2w": 336 * time.Hour, "0s": 0, "90s": 90 * time.Second,
	} {
		var d, again config.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(d), err)
		}
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s: written as %s, read as %v", text, d, again)
		}
	}
	for _, text := range []string{"", "2", "2.5h", "-2m", "m", "2 m", "1y", "999999w999999w", "2m3"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %v", text, d)
		}
	}
}

func TestSizeIsRead(t *testing.T) {
	for text, want := range map[string]int64{"0B": 0, "512B": 512, "64MB": 64e6, "2GiB": 2 << 30, "1kB": 1000, "1KiB": 1024, "3TiB": 3 << 40} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "64", "64 MB", "-1MB", "1.5GB", "64mb", "999999999TiB", "1PB", "1KB"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %d", text, s)
		}
	}
}

func TestAddressIsReadAndWritten(t *testing.T) {
	for _, text := range []string{"dir:/mnt/x", `dir:\\server\share\off`, `dir:C:\off`, "s3://abc", "s3://abc/x/y", "gs://abc/x", "azblob://acct/cont/x"} {
		var a config.Address
		if err := a.UnmarshalText([]byte(text)); err != nil || a.String() != text {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "/mnt/x", `C:\x`, "dir:", "dir://x", "s3:abc", "s3://", "s3://Abc", "s3://abc/../x", "ftp://x/y", "s3://k:s@abc", "azblob://acct", "s3://abc/A"} {
		var a config.Address
		if err := a.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %+v", text, a)
		}
	}
}

func TestSecretIsResolvedAndNeverShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "k")
	if err := os.WriteFile(file, []byte("s3cret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return "from env", name == "K" }
	for text, want := range map[string]string{"env:K": "from env", "file:" + file: "s3cret"} {
		var s config.Secret
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(env); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"AKIAIOSFODNN7", "env:", "keychain:x"} {
		var s config.Secret
		if err := s.UnmarshalText([]byte(text)); err == nil || strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := (config.Secret{Scheme: "env", Ref: "NONE"}).Resolve(env); err == nil {
		t.Error("an unset variable was accepted")
	}
}

func TestProblemNamesTheLineOfTheKey(t *testing.T) {
	c, err := config.Parse("/x/offsite.yaml", []byte("version: 1\nsource:\n  name: a\n  profile: exact\n  folders: [/a]\nstores:\n  - {name: n, address: 'dir:/b'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Problem("source.profile", "no such profile", "h").Error(); !strings.HasPrefix(got, "offsite.yaml:4:12: no such profile\n") {
		t.Errorf("%s", got)
	}
	if got := c.Problem("calendar.country", "no holidays", "h").Error(); !strings.HasPrefix(got, "offsite.yaml: calendar.country: no holidays") {
		t.Errorf("%s", got)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		if a, err := txtar.ParseFile(name); err == nil && len(a.Files) > 0 {
			f.Add(a.Files[0].Data)
		}
	}
	f.Add([]byte(config.Example))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("/x/offsite.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a result nor an error, or both")
		}
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}
