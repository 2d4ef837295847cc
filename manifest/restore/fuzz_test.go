package restore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"offsite/manifest"
	"offsite/manifest/restore"
)

// FuzzNamesStayInTheTarget: whatever three rows a file table holds, nothing
// outside the target folder changes, and no restored file is reached by a link.
func FuzzNamesStayInTheTarget(f *testing.F) {
	f.Add("a", "b/c", "../x", "d")
	f.Add("a", "a/b", "..", "a/b/c")
	f.Add("../a", "/etc/passwd", "/tmp", "a/../../b")
	f.Add("a\\b", "C:\\x", "c:", "nul")
	p := newPractice(f)
	f.Fuzz(func(t *testing.T, one, two, target, three string) {
		s := set{one: link(target), two: file([]byte("data")), three: folder(0o755)}
		for path := range s {
			if manifest.ValidPath(path) != nil || len(path) > 100 || s[path].row.Type == manifest.Link && (target == "" || len(target) > 100) {
				return
			}
		}
		if len(s) < 3 || p.upload == nil {
			return
		}
		for _, c := range []byte(target) {
			if c == 0 {
				return
			}
		}
		snap := open(t, p, p.commit(t, s, nil))
		top := t.TempDir()
		to := filepath.Join(top, "a", "b", "target")
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		report, err := snap.Restore(t.Context(), restore.Options{To: to})
		if err != nil && report.Missing == 0 {
			t.Fatal(err)
		}
		err = filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			rel, relErr := filepath.Rel(to, name)
			if err == nil && relErr == nil && !filepath.IsLocal(rel) && name != top && name != filepath.Join(top, "a") && name != filepath.Join(top, "a", "b") {
				t.Errorf("%q is outside the target", rel)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
