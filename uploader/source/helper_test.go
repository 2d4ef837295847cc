package source_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"offsite/uploader/source"
)

// tree makes files below a new folder. A name that ends with a slash is a folder,
// "name -> target" is a link; anything else is a file that holds its own name.
func tree(tb testing.TB, names ...string) string {
	tb.Helper()
	root := filepath.Join(temp(tb), "databackup")
	must(tb, os.Mkdir(root, 0o755))
	for _, name := range names {
		add(tb, root, name)
	}
	return root
}

// temp is a new folder. On Windows it is removed as far as possible: not every
// layer that runs Windows programs can remove a file the way package os asks for.
func temp(tb testing.TB) string {
	tb.Helper()
	if runtime.GOOS != "windows" {
		return tb.TempDir()
	}
	dir, err := os.MkdirTemp("", "source")
	must(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func add(tb testing.TB, root, name string) {
	tb.Helper()
	name, target, link := strings.Cut(name, " -> ")
	path := filepath.Join(root, filepath.FromSlash(name))
	if strings.HasSuffix(name, "/") {
		must(tb, os.MkdirAll(path, 0o755))
		return
	}
	must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
	if link {
		must(tb, os.Symlink(target, path))
		return
	}
	must(tb, os.WriteFile(path, []byte(name), 0o644))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func scan(tb testing.TB, opt source.Options) source.Set {
	tb.Helper()
	set, err := source.Scan(context.Background(), opt)
	must(tb, err)
	return set
}

func scanRoot(tb testing.TB, root string) source.Set {
	tb.Helper()
	return scan(tb, one(root))
}

func one(root string) source.Options {
	return source.Options{Roots: []source.Root{{Path: root}}}
}

// listing is a set as text: one line for each entry.
func listing(set source.Set) []string {
	var lines []string
	for e := range set.Entries() {
		line := e.Path
		switch {
		case e.Type == source.TypeDir:
			line += "/"
		case e.Type == source.TypeSymlink:
			line += " -> " + e.LinkTarget
		case e.Type == source.TypeOther:
			line += " (other)"
		}
		if e.Err != nil {
			line += " !"
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(tb testing.TB, got, want []string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("got\n\t%q\nwant\n\t%q", got, want)
	}
}
