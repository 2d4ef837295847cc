package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exceptions lists, for each rule below, where it does not hold, and why. A line
// that no longer excuses anything has to go.
var exceptions = map[string]map[string]string{
	"clock": {
		"uploader/source/wait.go: time.After":                       "the default of a timer that callers can inject",
		"providers/dial.go: time.AfterFunc":                         "the limit of a connection on which nothing moves; what follows is an error like any other",
		"providers/pace/limiter.go: time.NewTimer":                  "the pause of a writer whose turn has not come; closing ends it",
		"providers/retry.go: time.AfterFunc":                        "the limit of one page of a listing; no answer in that time is an error like any other",
		"providers/retry.go: time.NewTimer":                         "the default pause between attempts; callers can inject their own",
		"providers/providertest/faulty.go: time.NewTimer":           "a slow store in tests",
		"providers/providertest/proxy.go: time.NewTimer":            "a slow line in tests",
		"providers/providertest/servers/process.go: time.NewTicker": "waiting for a real process in tests",
		"providers/providertest/servers/process.go: time.NewTimer":  "waiting for a real process in tests",
	},
	"environment": {
		"providers/providertest/servers/servers.go: os.Getenv": "whether real servers are required, which only those who start the tests know",
	},
	"package variable": {
		"examples/practice/words.go: vocabulary": "a table of words, made from a text",
		"cmd/offsite/version.go: version":        "the linker sets it",
		"manifest/snapshot.go: noLease":          "the zero time, which cannot be a constant",
		"manifest/restore/sparse.go: zeros":      "a block of zeros, which cannot be a constant",
	},
	"testing": {
		"providers/providertest":         "the contract of drivers, as code for their tests",
		"providers/providertest/servers": "the real servers that tests of drivers talk to",
	},
	"machine path": {
		"uploader/verify/verify_test.go": "a made-up link's target, with a patient's name",
	},
}

// excuses are the exceptions during one test.
type excuses struct {
	t    *testing.T
	rule string
	used map[string]bool
}

func excusesOf(t *testing.T, rule string) *excuses {
	e := &excuses{t, rule, map[string]bool{}}
	t.Cleanup(func() {
		for place := range exceptions[rule] {
			if !e.used[place] {
				t.Errorf("the exception %q of the rule %q excuses nothing", place, rule)
			}
		}
	})
	return e
}

// complain reports a breach, unless an exception names the place.
func (e *excuses) complain(place, format string, args ...any) {
	e.t.Helper()
	if _, ok := exceptions[e.rule][place]; ok {
		e.used[place] = true
		return
	}
	e.t.Errorf(place+": "+format, args...)
}

// goFile is one parsed file of the module.
type goFile struct {
	name  string // from the module's root, with slashes
	dir   string
	test  bool
	lines int
	tree  *ast.File
}

// root is the module's folder, seen from this package.
const root = "../.."

// skipped folders are made by tools or belong to them.
var skipped = []string{".git", "bin", "demo"}

// walk calls each for every file of the repository.
func walk(t *testing.T, each func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		switch {
		case e.IsDir() && slices.Contains(skipped, rel):
			return filepath.SkipDir
		case rel == ".git": // a second working tree has a file there
		case e.Type().IsRegular():
			each(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles parses every Go file that the module is built from.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	set := token.NewFileSet()
	walk(t, func(name string) {
		if path.Ext(name) != ".go" || strings.Contains(name, "/testdata/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, goFile{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), bytes.Count(text, []byte("\n")), tree})
	})
	return files
}

// code is goFiles without tests.
func code(t *testing.T) []goFile {
	t.Helper()
	return slices.DeleteFunc(goFiles(t), func(f goFile) bool { return f.test })
}

func below(dir string, tops ...string) bool {
	return slices.ContainsFunc(tops, func(top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") })
}

// imports maps the names by which a file knows packages to their paths.
func (f goFile) imports() map[string]string {
	out := map[string]string{}
	for _, spec := range f.tree.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if ok, _ := path.Match("v[0-9]*", name); ok {
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		out[name] = p
	}
	return out
}

// selectors calls each for every use of something that another package exports.
func (f goFile) selectors(each func(pkg, name string)) {
	imports := f.imports()
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				if pkg, ok := imports[x.Name]; ok {
					each(pkg, s.Sel.Name)
				}
			}
		}
		return true
	})
}

func TestOnlyCommandsLookAtTheClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	e := excusesOf(t, "clock")
	for _, f := range code(t) {
		if below(f.dir, "cmd", "examples") {
			continue
		}
		f.selectors(func(pkg, name string) {
			if pkg == "time" && slices.Contains(clock, name) {
				e.complain(f.name+": time."+name, "take the time and timers from the caller")
			}
		})
	}
}

func TestOnlyCommandsLookAtTheEnvironment(t *testing.T) {
	environment := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	e := excusesOf(t, "environment")
	for _, f := range code(t) {
		f.selectors(func(pkg, name string) {
			if pkg == "os" && slices.Contains(environment, name) && !below(f.dir, "cmd") {
				e.complain(f.name+": os."+name, "take settings from the caller")
			}
		})
	}
}

func TestOnlyMainEndsTheProgram(t *testing.T) {
	e := excusesOf(t, "exit")
	for _, f := range code(t) {
		if path.Base(f.name) == "main.go" {
			continue
		}
		f.selectors(func(pkg, name string) {
			if pkg == "os" && name == "Exit" || pkg == "log" && (strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Panic")) {
				e.complain(f.name+": "+pkg+"."+name, "return an error")
			}
		})
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", f.name)
			}
		}
	}
}

func TestGlobalRandomnessIsNotUsed(t *testing.T) {
	fine := regexp.MustCompile(`^(New.*|Rand|Source|Source64|PCG|ChaCha8|Zipf)$`)
	for _, f := range goFiles(t) {
		f.selectors(func(pkg, name string) {
			if strings.HasPrefix(pkg, "math/rand") && !fine.MatchString(name) {
				t.Errorf("%s uses %s.%s: use a generator with a seed, or crypto/rand", f.name, pkg, name)
			}
		})
	}
}

func TestTestingStaysInTests(t *testing.T) {
	e := excusesOf(t, "testing")
	for _, f := range code(t) {
		for _, p := range f.imports() {
			if p == "testing" || strings.HasPrefix(p, "testing/") {
				e.complain(f.dir, "%s imports %s", f.name, p)
			}
		}
	}
}

func TestOnlyDriversImportTheirSDK(t *testing.T) {
	files := goFiles(t)
	for prefix, dir := range map[string]string{
		"github.com/aws/":                 "providers/s3",
		"github.com/minio/":               "providers/s3",
		"cloud.google.com/":               "providers/gcs",
		"google.golang.org/":              "providers/gcs",
		"golang.org/x/oauth2":             "providers/gcs",
		"github.com/Azure/":               "providers/azure",
		"github.com/AzureAD/":             "providers/azure",
		"github.com/googleapis/":          "providers/gcs",
		"github.com/GoogleCloudPlatform/": "providers/gcs",
	} {
		for _, f := range files {
			for _, p := range f.imports() {
				if strings.HasPrefix(p, prefix) && !below(f.dir, dir) {
					t.Errorf("%s imports %s, which belongs into %s alone", f.name, p, dir)
				}
			}
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	const enough = 60 // characters: a sentence that says more than the name
	said := map[string]int{}
	for _, f := range goFiles(t) {
		key := f.dir + " " + strings.TrimSuffix(f.tree.Name.Name, "_test")
		if n := len(f.tree.Doc.Text()); n > said[key] || said[key] == 0 {
			said[key] = max(n, said[key])
		}
	}
	for key, n := range said {
		if n < enough {
			t.Errorf("%s: the package comment is missing or too short", key)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	const most = 600
	for _, f := range goFiles(t) {
		if f.lines > most {
			t.Errorf("%s has %d lines, more than %d", f.name, f.lines, most)
		}
	}
}

// TestPackageVariablesAreConstants allows at package level errors, embedded files
// and what would be a constant if the language had one of its type: tables and
// patterns that nothing assigns to.
func TestPackageVariablesAreConstants(t *testing.T) {
	e := excusesOf(t, "package variable")
	files := code(t)
	packages := map[string]map[string]bool{}
	for _, f := range files {
		if packages[f.dir] == nil {
			packages[f.dir] = map[string]bool{}
		}
		for _, spec := range f.variables() {
			for i, name := range spec.Names {
				if name.Name == "_" {
					continue
				}
				packages[f.dir][name.Name] = true
				if !constantByNature(spec, i) {
					e.complain(f.name+": "+name.Name, "a variable at package level that is neither an error nor a table")
				}
			}
		}
	}
	for _, f := range files {
		f.assigned(func(x *ast.Ident) {
			if packages[f.dir][x.Name] && f.outside(x) {
				t.Errorf("%s assigns to %s, a variable of the package", f.name, x.Name)
			}
		})
	}
}

// variables are those that a file declares at package level.
func (f goFile) variables() []*ast.ValueSpec {
	var out []*ast.ValueSpec
	for _, d := range f.tree.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			if spec.Doc == nil {
				spec.Doc = g.Doc
			}
			out = append(out, spec)
		}
	}
	return out
}

func constantByNature(spec *ast.ValueSpec, i int) bool {
	if spec.Doc != nil && slices.ContainsFunc(spec.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
		return true
	}
	if len(spec.Values) != len(spec.Names) {
		return false
	}
	name, value := spec.Names[i].Name, spec.Values[i]
	if strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err") {
		return true
	}
	switch v := value.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.CallExpr:
		if s, ok := v.Fun.(*ast.SelectorExpr); ok {
			return slices.Contains([]string{"MustCompile", "MakeTable", "Fields", "Split"}, s.Sel.Name)
		}
		if _, ok := v.Fun.(*ast.FuncLit); ok {
			return true // a table that takes some lines to make
		}
		// A text as bytes.
		a, ok := v.Fun.(*ast.ArrayType)
		return ok && a.Len == nil
	}
	return false
}

// assigned calls each for the variable at the root of everything that a file
// assigns to.
func (f goFile) assigned(each func(x *ast.Ident)) {
	target := func(x ast.Expr) {
		for {
			switch v := x.(type) {
			case *ast.Ident:
				each(v)
				return
			case *ast.IndexExpr:
				x = v.X
			case *ast.SelectorExpr:
				x = v.X
			case *ast.ParenExpr:
				x = v.X
			default:
				return
			}
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch v := n.(type) {
		case *ast.AssignStmt:
			if v.Tok != token.DEFINE {
				for _, x := range v.Lhs {
					target(x)
				}
			}
		case *ast.IncDecStmt:
			target(v.X)
		}
		return true
	})
}

// outside says whether an identifier stands for something that no function around
// it declares.
func (f goFile) outside(x *ast.Ident) bool {
	local := false
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || x.Pos() < fn.Pos() || x.Pos() > fn.End() {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch v := n.(type) {
			case *ast.AssignStmt:
				for _, l := range v.Lhs {
					if id, ok := l.(*ast.Ident); ok && v.Tok == token.DEFINE && id.Name == x.Name {
						local = true
					}
				}
			case *ast.Field:
				local = local || slices.ContainsFunc(v.Names, func(id *ast.Ident) bool { return id.Name == x.Name })
			case *ast.ValueSpec:
				local = local || slices.ContainsFunc(v.Names, func(id *ast.Ident) bool { return id.Name == x.Name })
			}
			return true
		})
	}
	return !local
}

// TestNoTextNamesADevelopersMachine looks for the home folders of those who write
// the program. Examples use /srv and /mnt.
func TestNoTextNamesADevelopersMachine(t *testing.T) {
	const largest = 1 << 20 // what is larger is no text that a person wrote
	home := regexp.MustCompile(`(^|[^\w.$}])/(work|root|home|Users)/`)
	e := excusesOf(t, "machine path")
	walk(t, func(name string) {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > largest || bytes.IndexByte(text, 0) >= 0 || name == "cmd/offsite/rules_test.go" {
			return
		}
		n := 0
		for line := range bytes.Lines(text) {
			n++
			if m := home.Find(line); m != nil {
				e.complain(name, "line %d names a path of a machine: %q", n, m)
			}
		}
	})
}
