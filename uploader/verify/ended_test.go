package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offsite/uploader/verify"
)

func TestEndedIsTheLastSuccessOfALogOutsideOfTheSet(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 22, 30, 0, 0, time.UTC)
	at := time.Date(2026, 11, 20, 21, 47, 0, 0, time.UTC)
	root := tree(t, "patients.fs5", "logfiles/")
	outside, inside := filepath.Join(t.TempDir(), "backup.log"), filepath.Join(root, "logfiles", "backup.log")
	for _, c := range []struct {
		name, log, text string
		want            bool
	}{
		{"a success", outside, "19/11/2026 21:40 PC3 ok\r\n20/11/2026 21:47 PC3 ok\r\n", true},
		{"a failure after a success", outside, "20/11/2026 21:47 PC3 ok\r\n20/11/2026 22:10 PC3 failed\r\n", false},
		{"nothing that is known", outside, "hello\r\n", false},
		{"a log in the set", inside, "20/11/2026 21:47 PC3 ok\r\n", false},
		{"no log at all", filepath.Join(root, "none.log"), "", false},
		{"no log is named", "", "", false},
	} {
		if c.text != "" {
			must(t, os.WriteFile(c.log, []byte(c.text), 0o644))
		}
		evidence := ""
		if c.log != "" {
			evidence = fmt.Sprintf("evidence:\n  kind: lines\n  log: '%s'\n  dates: dmy\n  good: ['{date} {time} {computer} ok']\n  bad: ['{date} {time} {computer} failed']\n", c.log)
		}
		p, err := verify.ParseProfile([]byte("name: own\n" + evidence))
		must(t, err)
		got, ok := p.Ended(scan(t, p, root), now, time.UTC)
		if ok != c.want || ok && !got.Equal(at) {
			t.Errorf("%s: %v, %v", c.name, got, ok)
		}
	}
}
