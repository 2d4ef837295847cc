//go:build linux

package restore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"offsite/manifest/restore"
)

func TestRunsOfZerosStayHoles(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	const mib = 1 << 20
	end := append(make([]byte, 40*mib), "end"...)
	middle := bytes.Clone(end)
	copy(middle[20*mib+100:], noise(7, mib))
	s := set{
		"all":          file(make([]byte, 33*mib+12345)),
		"end":          file(end),
		"middle":       file(middle),
		"small":        file(make([]byte, 100)),
		"single":       file(make([]byte, 700<<10)),
		"pages.sqlite": file(middle),
	}
	dir := t.TempDir()
	if _, err := open(t, p, p.commit(t, s, nil)).Restore(t.Context(), restore.Options{To: dir}); err != nil {
		t.Fatal(err)
	}
	same(t, dir, s, false, everything)
	for name, most := range map[string]int64{"all": 64 << 10, "end": 128 << 10, "middle": 1<<20 + 256<<10, "single": 64 << 10, "pages.sqlite": 1<<20 + 256<<10} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if on := info.Sys().(*syscall.Stat_t).Blocks * 512; on > most {
			t.Errorf("%s takes %d KiB on the disk", name, on>>10)
		}
	}
}
