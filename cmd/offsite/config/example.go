package config

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Example is a commented file that documents every key. A comment has a space
// after its mark; a key that is switched off has none, so that removing the mark
// switches it on.
//
//go:embed example.yaml
var Example string

// Values are what init knows; they stand in the written file in place of the
// example's.
type Values struct {
	State, UploadKey string
	Name, Profile    string
	Folders          []string
	Stores           []Store
	Country          string
	Zone             string
	FiscalYearEnd    string
}

// Render returns the commented file with the values put in. What it returns is
// accepted by Parse, or an error says why not.
func Render(v Values) ([]byte, error) {
	var folders, stores strings.Builder
	for _, f := range v.Folders {
		folders.WriteString("\n    - " + quote(f))
	}
	for _, s := range v.Stores {
		stores.WriteString(s.block("  "))
	}
	text := Example
	for _, r := range [][2]string{
		{"state: /var/lib/offsite", "state: " + quote(v.State)},
		{"upload_key: upload.key", "upload_key: " + quote(v.UploadKey)},
		{"name: practice", "name: " + v.Name},
		{"profile: generic", "profile: " + v.Profile},
		{"\n    - /srv/databackup", folders.String()},
		{"\n  - name: nas\n    address: dir:/mnt/nas/offsite", stores.String()},
		{"country: GB", "country: " + v.Country},
		{"zone: Europe/London", "zone: " + v.Zone},
		{`fiscal_year_end: "12-31"`, "fiscal_year_end: " + `"` + v.FiscalYearEnd + `"`},
	} {
		if strings.Count(text, r[0]) != 1 {
			panic("config: the example has not exactly one " + r[0])
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	if _, err := Parse("offsite.yaml", []byte(text)); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return []byte(text), nil
}

// quote writes a text in single quotes, in which a backslash is a backslash.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Env looks up an environment variable.
type Env = func(string) (string, bool)

// DefaultFile is where the file is looked for when neither --config nor
// OFFSITE_CONFIG names it: one place for the whole machine, because the service
// and the person at the keyboard must mean the same file.
func DefaultFile(env Env) string {
	if f, ok := env("OFFSITE_CONFIG"); ok && f != "" {
		return f
	}
	return filepath.Join(machineFolder(env), "offsite.yaml")
}

// DefaultState is the folder for local state that belongs to a file: the
// system's own place when the file is in its own place, else beside the file.
func DefaultState(env Env, file string) string {
	if filepath.Dir(file) == machineFolder(env) && runtime.GOOS == "linux" {
		return "/var/lib/offsite"
	}
	return filepath.Join(filepath.Dir(file), "state")
}

func machineFolder(env Env) string {
	switch runtime.GOOS {
	case "windows":
		if data, ok := env("ProgramData"); ok && data != "" {
			return filepath.Join(data, "offsite")
		}
		return `C:\ProgramData\offsite`
	case "darwin":
		return "/Library/Application Support/offsite"
	}
	return "/etc/offsite"
}
