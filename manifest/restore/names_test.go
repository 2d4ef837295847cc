package restore_test

import (
	"errors"
	"strings"
	"testing"

	"offsite/manifest/restore"
)

func TestNamesThatTheTargetReadsOtherwiseAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path            string
		windows, darwin bool // allowed
	}{
		{"images/Müller, Zoë/001.jpg", true, true},
		{"a.b.c", true, true},
		{".hidden", true, true},
		{"COMMON/LPTX/com12", true, true},
		{"com0x", true, true},
		{"a:b", false, true},
		{`a\..\..\b`, false, true},
		{"C:", false, true},
		{"a/b.txt:stream", false, true},
		{"end.", false, true},
		{"end ", false, true},
		{"folder./file", false, true},
		{"CON", false, true},
		{"x/nul.txt", false, true},
		{"aux .log", false, true},
		{"com1", false, true},
		{"LPT9.dat", false, true},
		{"COM²", false, true},
		{"conin$", false, true},
		{"what?", false, true},
		{"tab\there", false, true},
		{"bad\xff", false, false},
	} {
		for _, on := range []struct {
			goos string
			ok   bool
		}{{"windows", c.windows}, {"darwin", c.darwin}, {"linux", true}} {
			err := restore.CheckName(on.goos, c.path)
			if (err == nil) != on.ok || err != nil && !errors.Is(err, restore.ErrName) {
				t.Errorf("%s: %q: %v", on.goos, c.path, err)
			}
			if err != nil && strings.Contains(err.Error(), c.path) {
				t.Errorf("the error repeats the name: %v", err)
			}
		}
	}
}
