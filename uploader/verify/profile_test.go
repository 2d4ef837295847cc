package verify_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/uploader/verify"
)

func TestBuiltinProfilesAreWhole(t *testing.T) {
	t.Parallel()
	if got, want := verify.Builtins(), []string{"dentrix", "eaglesoft", "exact", "generic", "macpractice", "opendental", "robocopy", "sqlserver-bak", "veeam-chain"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	doc, err := os.ReadFile("CHECKS.md")
	must(t, err)
	for _, name := range verify.Builtins() {
		p := builtin(t, name)
		if p.Name() != name || p.Title() == "" || p.Proves() == "" || p.CannotProve() == "" || p.Quiet() < time.Minute {
			t.Errorf("%s is not whole: %+v", name, p)
		}
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("CHECKS.md has no row for %s", name)
		}
	}
	if _, err := verify.Builtin("../profiles/exact"); err == nil {
		t.Error("found a profile by a path")
	}
}

func TestTheDocumentedProfileIsRead(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("CHECKS.md")
	must(t, err)
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("no example in CHECKS.md")
	}
	p, err := verify.ParseProfile([]byte(text))
	must(t, err)
	if p.Name() != "our-clinic" || p.Quiet() != 15*time.Minute || len(p.Exclude()) != 2 {
		t.Errorf("got %+v", p)
	}
}

func TestParseProfileRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "nothing in it"},
		{"no name", "title: x", "name"},
		{"a name with letters for a path", "name: ../x", "name"},
		{"a name with a capital", "name: Exact", "name"},
		{"an unknown field", "name: x\nrequierd: []", "requierd"},
		{"an unknown field of a rule", "name: x\nrequired:\n- {id: a, match: [a], size: 3}", "size"},
		{"a field twice", "name: x\nname: y", "already"},
		{"two documents", "name: x\n---\nname: y", "more than one"},
		{"anchors", "name: &a x\ntitle: *a", "anchors"},
		{"a list", "- name: x", "sequence"},
		{"a number for a time", "name: x\nquiet: 10", "not a time"},
		{"a time that is too long", "name: x\nquiet: 25h", "24h"},
		{"a negative time", "name: x\nquiet: -1m", "not a time"},
		{"an unknown unit", "name: x\nmin_bytes: 10 MB", "not a size"},
		{"a size beyond all disks", "name: x\nmin_bytes: 9999999 TiB", "not a size"},
		{"a negative size", "name: x\nmin_bytes: -1", "not a size"},
		{"a negative count", "name: x\nmin_files: -1", "negative"},
		{"a rule without an id", "name: x\nrequired: [{match: [a]}]", "id"},
		{"a rule with a name for an id", "name: x\nrequired: [{id: Doe Jane, match: [a]}]", "id"},
		{"a rule without patterns", "name: x\nrequired: [{id: a}]", "match"},
		{"a bad pattern", "name: x\nrequired: [{id: a, match: ['a**']}]", "pattern"},
		{"a bad exclude", "name: x\nexclude: ['']", "exclude"},
		{"an id twice", "name: x\nrequired: [{id: a, match: [a]}]\noptional: [{id: a, match: [b]}]", "twice"},
		{"a level on a required rule", "name: x\nrequired: [{id: a, match: [a], level: warning}]", "level"},
		{"a level that is none", "name: x\noptional: [{id: a, match: [a], level: bad}]", "level"},
		{"too many rules", "name: x\nrequired:\n" + rules(65), "too many"},
		{"too long", "name: x # " + strings.Repeat("x", verify.MaxProfile), "longer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := verify.ParseProfile([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something about %q", err, c.want)
			}
			if p.Name() != "" {
				t.Error("a refused profile has a name")
			}
		})
	}
}

func rules(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("- {id: a" + strings.Repeat("b", i%8) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ", match: [a]}\n")
	}
	return b.String()
}

func TestParseProfileReadsSizes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0", "4096", `"4096"`, "4 KiB", "4KiB", "1 GiB", "512 B", "1 TiB"} {
		if _, err := verify.ParseProfile([]byte("name: x\nmin_bytes: " + text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	files, err := filepath.Glob("profiles/*.yaml")
	must(f, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		must(f, err)
		f.Add(data)
	}
	f.Add([]byte("name: x\nmin_bytes: 1 KiB\nexclude: ['/a/**']\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := verify.ParseProfile(data)
		if (err == nil) != (p.Name() != "") {
			t.Errorf("name %q with error %v", p.Name(), err)
		}
		if err == nil && (p.Quiet() <= 0 || p.Quiet() > 24*time.Hour) {
			t.Errorf("quiet for %v", p.Quiet())
		}
	})
}
