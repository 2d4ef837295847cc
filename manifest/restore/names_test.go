package restore_test

import (
	"path/filepath"
	"strings"
	"testing"

	"offsite/manifest"
	"offsite/manifest/restore"
)

func TestNamesThatTheTargetReadsOtherwiseAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path                   string
		windows, darwin, linux bool // allowed
	}{
		{"images/Müller, Zoë/001.jpg", true, true, true},
		{"a.b.c", true, true, true},
		{".hidden", true, true, true},
		{"COMMON/LPTX/com12", true, true, true},
		{"com0x", true, true, true},
		{"a:b", false, true, true},
		{`a\..\..\b`, false, true, true},
		{"C:", false, true, true},
		{"C:/Windows/x", false, true, true},
		{"a/b.txt:stream", false, true, true},
		{"end.", false, true, true},
		{"end ", false, true, true},
		{"folder./file", false, true, true},
		{"CON", false, true, true},
		{"x/nul.txt", false, true, true},
		{"aux .log", false, true, true},
		{"com1", false, true, true},
		{"COM0", false, true, true},
		{"LPT9.dat", false, true, true},
		{"COM²", false, true, true},
		{"conin$", false, true, true},
		{"what?", false, true, true},
		{"tab\there", false, true, true},
		{"bad\xff", false, false, true},
		{".offsite-restore", false, false, false},
		{"a/.offsite-restore", true, true, true},
		{"a/.offsite-partial-00", false, false, false},
	} {
		for goos, ok := range map[string]bool{"windows": c.windows, "darwin": c.darwin, "linux": c.linux} {
			err := restore.CheckName(goos, c.path)
			if (err == nil) != ok {
				t.Errorf("%s: %q: %v", goos, c.path, err)
			}
			if err != nil && strings.Contains(err.Error(), c.path) {
				t.Errorf("the error repeats the name: %v", err)
			}
		}
	}
}

// FuzzNames: a name that may be written on Windows is local there, comes apart into
// the same segments, and is stable under what Windows does to names.
func FuzzNames(f *testing.F) {
	for _, p := range []string{"a/b", "C:", "nul", `a\b`, "a.", "a ", "COM1.txt", "x:y", "..", "a/../b", "\x00", "CLOCK$", "con.", "lpt³"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if manifest.ValidPath(p) != nil {
			return
		}
		if !filepath.IsLocal(p) {
			t.Errorf("%q is valid in a file table, but not local", p)
		}
		if restore.CheckName("windows", p) != nil {
			return
		}
		if restore.CheckName("darwin", p) != nil || restore.CheckName("linux", p) != nil {
			t.Errorf("%q may be written on Windows only", p)
		}
		if strings.ContainsAny(p, "\\:*?\"<>|\x00") {
			t.Errorf("%q holds what Windows reads otherwise", p)
		}
		for s := range strings.SplitSeq(p, "/") {
			if s == "" || strings.TrimRight(s, ". ") != s {
				t.Errorf("%q: Windows changes %q", p, s)
			}
			base, _, _ := strings.Cut(strings.ToLower(s), ".")
			switch strings.TrimRight(base, " ") {
			case "con", "prn", "aux", "nul", "com1", "lpt1":
				t.Errorf("%q: %q is a device", p, s)
			}
		}
	})
}
