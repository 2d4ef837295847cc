package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"offsite/examples/practice"
)

func TestRunBuildsAndAdvances(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "databackup")
	for _, step := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"-size", "1MiB", "-dir", dir, "-day", "1"}, 0, "day 1 2026-01-06"},
		{[]string{"-size", "1048576", "-dir", dir, "-day", "2", "-ideal"}, 0, "day 2 ideal: "},
		{[]string{"-size", "1MiB", "-dir", dir, "-day", "2"}, 0, ""},
		{[]string{"-size", "1MiB", "-dir", dir, "-day", "1"}, 1, ""},
		{[]string{"-size", "2MiB", "-dir", dir, "-day", "3"}, 1, ""},
		{[]string{"-size", "1MB", "-dir", dir}, 2, ""},
		{[]string{"-size", "9000000000GiB", "-dir", dir}, 2, ""},
		{[]string{"-nonsense"}, 2, ""},
		{[]string{"left over"}, 2, ""},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), step.args, &stdout, &stderr); code != step.code || !strings.Contains(stdout.String(), step.out) {
			t.Errorf("%v: exit code %d, want %d; %s%s", step.args, code, step.code, &stdout, &stderr)
		}
	}
	if day, err := practice.Day(dir); day != 2 || err != nil {
		t.Errorf("folder stands at day %d, %v", day, err)
	}
}
