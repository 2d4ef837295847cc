package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed lists, for every package, which packages of this module it may import,
// and why the list is what it is. Whoever needs another edge has to write it here.
var allowed = map[string]struct {
	imports []string
	why     string
}{
	"providers":                      {nil, "the store interface stands on nothing"},
	"providers/mem":                  {[]string{"providers"}, "a driver knows the interface only"},
	"providers/pace":                 {nil, "pacing knows nothing of what it slows down"},
	"providers/dir":                  {[]string{"providers"}, "a driver knows the interface only"},
	"providers/s3":                   {[]string{"providers"}, "a driver knows the interface only"},
	"providers/gcs":                  {[]string{"providers"}, "a driver knows the interface only"},
	"providers/gcs/internal/wire":    {[]string{"providers"}, "the way to the service knows the kinds of errors only"},
	"providers/gcs/gcsadmin":         {[]string{"providers", "providers/gcs", "providers/gcs/internal/wire"}, "an administrator knows the driver that others use"},
	"providers/azure":                {[]string{"providers"}, "a driver knows the interface only"},
	"providers/s3/internal/wire":     {[]string{"providers"}, "the way to the service knows the kinds of errors only"},
	"providers/s3/s3admin":           {[]string{"providers", "providers/s3", "providers/s3/internal/wire"}, "an administrator knows the driver that others use"},
	"providers/s3/s3sweep":           {[]string{"providers", "providers/s3", "providers/s3/internal/wire"}, "the sweep of a bucket knows how it is reached"},
	"providers/providertest":         {[]string{"providers"}, "the contract knows the interface only"},
	"providers/providertest/servers": {nil, "servers know nothing of what is kept in them"},

	"manifest/seal":       {nil, "ciphers know nothing of what they seal"},
	"manifest/seal/sheet": {[]string{"manifest/seal"}, "the recovery sheet shows keys"},
	"manifest/pack":       {nil, "pack bytes can be read without keys, stores or the rest"},
	"manifest":            {[]string{"manifest/pack", "manifest/seal", "providers"}, "documents bind names, signatures and objects"},
	"manifest/keep":       {[]string{"manifest", "manifest/seal", "providers"}, "until when objects are kept follows from documents alone"},
	"manifest/mirror":     {[]string{"manifest", "manifest/pack", "manifest/seal", "providers"}, "copying opens nothing, and needs neither uploader nor restore"},
	"manifest/restore":    {[]string{"manifest", "manifest/pack", "manifest/seal", "providers"}, "restoring never needs the uploader"},

	"retention": {nil, "policy is pure"},

	"uploader/statefile":        {nil, "a file is replaced, whatever it holds"},
	"uploader/near":             {[]string{"providers", "uploader/statefile"}, "copies are local state, and know the interface of stores only"},
	"uploader/chunk":            {nil, "cutting is pure"},
	"uploader/source":           {nil, "the source is read and nothing else"},
	"uploader/verify/evidence":  {nil, "what a log says, and nothing about the set"},
	"uploader/verify":           {[]string{"uploader/source", "uploader/statefile", "uploader/verify/evidence", "uploader/verify/structure"}, "a verdict is about a set"},
	"uploader/verify/structure": {nil, "bytes of one file, and nothing about where it stands"},
	"uploader": {[]string{"manifest", "manifest/pack", "manifest/seal", "providers", "retention", "uploader/chunk", "uploader/source", "uploader/verify", "uploader/statefile"},
		"one run binds them all; it never restores"},
	"uploader/simtest": {[]string{"manifest", "manifest/pack", "manifest/seal", "providers"},
		"what tests of runs share judges stored bytes and trusts no uploader"},
}

// prefixes holds for packages below a folder, in addition to allowed.
var prefixes = map[string]string{
	"cmd/":             "the command may import everything",
	"examples/":        "examples may import everything",
	"providers/gcs/":   "what the driver's tests stand on",
	"providers/azure/": "what the driver's tests stand on",
	"uploader/source":  "the source's own parts",
}

func TestImportDirections(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}: {{join .Imports \" \"}}", "offsite/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		pkg = strings.TrimPrefix(pkg, "offsite/")
		rule, ok := allowed[pkg]
		seen[pkg] = true
		if !ok {
			if !slices.ContainsFunc(keys(prefixes), func(p string) bool { return strings.HasPrefix(pkg, p) }) {
				t.Errorf("package %s is not in the table of layers", pkg)
			}
			continue
		}
		for imp := range strings.FieldsSeq(imports) {
			own, ok := strings.CutPrefix(imp, "offsite/")
			if ok && !slices.Contains(rule.imports, own) && !strings.HasPrefix(own, pkg+"/internal/") {
				t.Errorf("%s imports %s, but %s", pkg, own, rule.why)
			}
		}
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("the table of layers names %s, which does not exist", pkg)
		}
	}
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
