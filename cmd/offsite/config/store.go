package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"offsite/providers/pace"
)

// Store is one bucket, container or folder. The keys below Address belong to
// the scheme of the address; see schemeKeys.
type Store struct {
	Name    string  `yaml:"name" need:"yes"`
	Address Address `yaml:"address" need:"yes"`

	Endpoint  string `yaml:"endpoint"`
	Region    string `yaml:"region"`
	PathStyle bool   `yaml:"path_style"`
	// LeaseAfterPut is for services whose policies see a lease only when it is raised.
	LeaseAfterPut bool `yaml:"lease_after_put"`
	// Leases is how objects are kept; empty: the first of leaseModes.
	Leases     string    `yaml:"leases"`
	Conditions string    `yaml:"conditions"`
	KeepDays   int       `yaml:"keep_days" min:"0" max:"3650"`
	CAFile     Path      `yaml:"ca_file"`
	Proxy      string    `yaml:"proxy"`
	Bandwidth  Timetable `yaml:"bandwidth"`

	Profile      string `yaml:"profile"`
	AccessKey    Secret `yaml:"access_key"`
	SecretKey    Secret `yaml:"secret_key"`
	SessionToken Secret `yaml:"session_token"`
	AccountKey   Secret `yaml:"account_key"`
	SAS          Secret `yaml:"sas"`
	Credentials  Secret `yaml:"credentials"`
}

// schemeKeys are the keys of a store's block, besides name and address, that each
// scheme of address takes.
var schemeKeys = map[string][]string{
	"dir":    {},
	"s3":     {"endpoint", "region", "path_style", "lease_after_put", "leases", "conditions", "ca_file", "proxy", "bandwidth", "profile", "access_key", "secret_key", "session_token"},
	"gs":     {"endpoint", "ca_file", "proxy", "bandwidth", "credentials"},
	"azblob": {"endpoint", "leases", "keep_days", "ca_file", "proxy", "bandwidth", "account_key", "sas"},
}

// leaseModes are the ways in which each scheme keeps objects, the usual one first.
var leaseModes = map[string][]string{
	"s3":     {"governance", "compliance", "managed", "manager", "none"},
	"gs":     {"custom-time"},
	"azblob": {"managed", "manager", "last-access", "none"},
}

// Lease returns how the store keeps objects: one of the words of its scheme.
func (s Store) Lease() string {
	if s.Leases == "" && len(leaseModes[s.Address.Scheme]) > 0 {
		return leaseModes[s.Address.Scheme][0]
	}
	return s.Leases
}

// ParseStore reads a store from one word, as flags take it: the address, and
// behind a question mark what else its block would hold, as in
// s3://bucket/prefix?region=eu-west-2&endpoint=https://s3.example.net. Secrets are
// named here too, never written out. What it returns has no name yet.
func ParseStore(text string) (Store, error) {
	var s Store
	address, query := text, ""
	if !strings.HasPrefix(text, "dir:") { // a folder's name may hold a question mark
		address, query, _ = strings.Cut(text, "?")
	}
	if err := s.Address.UnmarshalText([]byte(address)); err != nil {
		return s, err
	}
	if query == "" {
		return s, nil
	}
	return s, s.set(query, schemeKeys[s.Address.Scheme])
}

// set reads KEY=VALUE pairs joined by & into the store's block.
func (s *Store) set(query string, known []string) error {
	into := reflect.ValueOf(s).Elem()
	fields, _ := keysOf(into.Type())
	for _, part := range strings.Split(query, "&") {
		key, value, ok := strings.Cut(part, "=")
		if !slices.Contains(known, key) {
			return &ValueError{fmt.Sprintf("a store at %s: takes no %q here", s.Address.Scheme, key), "write one of " + strings.Join(known, ", ")}
		}
		value, err := url.PathUnescape(value)
		if !ok || err != nil {
			return &ValueError{fmt.Sprintf("%s has no value that can be read", key), "write KEY=VALUE, joined by &"}
		}
		field := fields[key]
		if err := setScalar(into.Field(field), value, into.Type().Field(field).Tag); err != nil {
			var v *ValueError
			if errors.As(err, &v) {
				return &ValueError{key + ": " + v.Problem, v.Hint}
			}
			return err
		}
	}
	for _, p := range s.problems() {
		return &ValueError{p.problem, p.hint}
	}
	return nil
}

// credentialKeys are those of schemeKeys that say who somebody is.
var credentialKeys = []string{"profile", "access_key", "secret_key", "session_token", "account_key", "sas", "credentials"}

// As returns the store as somebody else reaches it: without the credentials of its
// block, and with those that with names, as KEY=VALUE joined by &. With nothing
// named they are those of the environment.
func (s Store) As(with string) (Store, error) {
	s.Profile = ""
	for _, secret := range s.secrets() {
		*secret = Secret{}
	}
	if with == "" {
		return s, nil
	}
	var known []string
	for _, key := range schemeKeys[s.Address.Scheme] {
		if slices.Contains(credentialKeys, key) {
			known = append(known, key)
		}
	}
	if err := s.set(with, known); err != nil {
		return s, err
	}
	return s, nil
}

// Reference writes the store as ParseStore reads it, without credentials: what
// somebody needs who restores on a new computer.
func (s Store) Reference() string {
	var parts []string
	for _, key := range []string{"endpoint", "region", "path_style", "lease_after_put", "leases", "conditions", "keep_days"} {
		if v := s.text(key); v != "" {
			parts = append(parts, key+"="+strings.NewReplacer("%", "%25", "&", "%26").Replace(v))
		}
	}
	if len(parts) == 0 {
		return s.Address.String()
	}
	return s.Address.String() + "?" + strings.Join(parts, "&")
}

// block writes the store as its block in the file, each line behind indent.
func (s Store) block(indent string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s- name: %s\n%s  address: %s", indent, s.Name, indent, quote(s.Address.String()))
	for _, key := range schemeKeys[s.Address.Scheme] {
		v := s.text(key)
		switch {
		case v == "":
		case key == "path_style", key == "lease_after_put", key == "keep_days":
			fmt.Fprintf(&b, "\n%s  %s: %s", indent, key, v)
		default:
			fmt.Fprintf(&b, "\n%s  %s: %s", indent, key, quote(v))
		}
	}
	return b.String()
}

// text is the value of a key as it is written; empty: it is not given.
func (s Store) text(key string) string {
	v := reflect.ValueOf(s)
	fields, _ := keysOf(v.Type())
	f := v.Field(fields[key])
	if f.IsZero() {
		return ""
	}
	return fmt.Sprint(f.Interface())
}

// secrets are those that the store's block names.
func (s *Store) secrets() []*Secret {
	return []*Secret{&s.AccessKey, &s.SecretKey, &s.SessionToken, &s.AccountKey, &s.SAS, &s.Credentials}
}

// resolve makes the paths absolute.
func (s *Store) resolve(abs func(*Path)) {
	if s.Address.Scheme == "dir" {
		abs(&s.Address.Path)
	}
	abs(&s.CAFile)
	for _, secret := range s.secrets() {
		if secret.Scheme == "file" {
			p := Path(secret.Ref)
			abs(&p)
			secret.Ref = string(p)
		}
	}
}

// Absolute makes the paths of a store that a flag named absolute.
func (s *Store) Absolute() error {
	var first error
	s.resolve(func(p *Path) {
		if *p == "" {
			return
		}
		full, err := filepath.Abs(string(*p))
		if err != nil && first == nil {
			first = fmt.Errorf("find store: %w", err)
		}
		*p = Path(full)
	})
	return first
}

type storeProblem struct{ key, problem, hint string }

// problems are what no single value shows.
func (s *Store) problems() (out []storeProblem) {
	add := func(key, problem, hint string) { out = append(out, storeProblem{key, problem, hint}) }
	if (s.AccessKey == Secret{}) != (s.SecretKey == Secret{}) {
		add("", "access_key and secret_key belong together", "give both, or neither to use the credentials of the environment")
	}
	if (s.SessionToken != Secret{}) && (s.AccessKey == Secret{}) {
		add("session_token", "a session token needs its keys", "give access_key and secret_key too")
	}
	if s.Profile != "" && (s.AccessKey != Secret{}) {
		add("profile", "keys and a profile exclude each other", "remove one of them")
	}
	if (s.AccountKey != Secret{}) && (s.SAS != Secret{}) {
		add("sas", "account_key and sas exclude each other", "remove one of them")
	}
	if modes := leaseModes[s.Address.Scheme]; s.Leases != "" && len(modes) > 0 && !slices.Contains(modes, s.Leases) {
		add("leases", fmt.Sprintf("a store at %s: keeps no leases by %q", s.Address.Scheme, s.Leases), "write one of "+strings.Join(modes, ", "))
	}
	if s.Conditions != "" && s.Conditions != "none" {
		add("conditions", fmt.Sprintf("%q says nothing about conditions", s.Conditions), "write none for a store without conditional writes, such as Backblaze B2, or remove the line")
	}
	if (s.Lease() == "last-access") != (s.KeepDays > 0) && s.Address.Scheme == "azblob" {
		add("keep_days", "leases by last access and keep_days belong together", "give the days of the account's removal rule, or choose other leases")
	}
	if s.Endpoint != "" && !webAddress(s.Endpoint) {
		add("endpoint", fmt.Sprintf("%q is not an address of a service", s.Endpoint), "write https:// and the host, without a path, a user or a key")
	}
	if s.Proxy != "" && s.Proxy != "none" && !webAddress(s.Proxy) {
		add("proxy", "this is not the address of a proxy", "write http:// and its host and port, or none; a password for it belongs into the environment's HTTPS_PROXY")
	}
	return out
}

func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// Timetable says how much of the line an upload may take, and when. The zero value
// takes all of it.
type Timetable struct {
	Table *pace.Timetable
	word  string
}

func (*Timetable) expects() string { return `a rate or a timetable, such as "2Mbit/s"` }

// UnmarshalText reads what pace.Parse reads.
func (t *Timetable) UnmarshalText(text []byte) error {
	table, err := pace.Parse(string(text))
	if err != nil {
		return &ValueError{err.Error(), `write a rate, such as 2Mbit/s, or a timetable, such as "Mon-Fri 08:00-18:30 2Mbit/s, else unlimited"`}
	}
	*t = Timetable{Table: table, word: string(text)}
	return nil
}

func (t Timetable) String() string { return t.word }
