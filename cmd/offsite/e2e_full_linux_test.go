package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of its own on a folder, and returns what makes it
// larger.
func smallDisk(t *testing.T, folder, size string) (grow func(size string)) {
	t.Helper()
	must(t, os.MkdirAll(folder, 0o755))
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(folder, unix.MNT_DETACH)) })
	return func(size string) {
		t.Helper()
		must(t, unix.Mount("tmpfs", folder, "tmpfs", unix.MS_REMOUNT, "size="+size))
	}
}

// full is a practice with more in it than fits on a small disk.
func full(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	for i := range 5 {
		p.file(fmt.Sprintf("source/scan%d.dcm", i), string(noise(uint64(i), 4<<20)))
	}
	return p
}

func (p *place) days() (days []string) {
	p.t.Helper()
	var h history
	p.want(exitDone, "days", "--json").into(p.t, &h)
	for _, d := range h.Days {
		days = append(days, d.Day)
	}
	return days
}

func TestFullStoreIsToldAndGoneOnWith(t *testing.T) {
	t.Parallel()
	p := full(t)
	must(t, os.Rename(p.store, p.path("founded")))
	grow := smallDisk(t, p.store, "18m")
	must(t, os.CopyFS(p.store, os.DirFS(p.path("founded"))))
	p.want(exitStore, "run", "--wait", "0s").says(t, "make room at the store")
	if days := p.days(); len(days) > 0 {
		t.Errorf("%v is stored", days)
	}
	p.want(exitDone, "check", "--depth", "objects")
	k := openKilling(p)
	grow("64m")
	p.want(exitDone, "run", "--wait", "0s")
	if n := len(k.look()); n == 0 {
		t.Error("nothing was stored")
	}
	if err := k.once(); err != nil {
		t.Error(err)
	}
	back, _ := p.restore(exitDone, "latest", "back")
	equal(t, facts(t, p.source), facts(t, back))
}

func TestFullDiskOfTheLocalStateIsToldAndGoneOnWith(t *testing.T) {
	t.Parallel()
	p := full(t)
	grow := smallDisk(t, p.path("state"), "4k")
	r := p.want(exitFailed, "run", "--wait", "0s")
	r.says(t, "no space left on device")
	if days := p.days(); len(days) > 0 {
		t.Errorf("%v is stored", days)
	}
	p.want(exitDone, "check", "--depth", "objects")
	grow("8m")
	p.want(exitDone, "run", "--wait", "0s")
	p.want(exitNothingNew, "run", "--wait", "0s")
}

func TestFullTargetOfARestoreIsToldAndGoneOnWith(t *testing.T) {
	t.Parallel()
	p := full(t)
	p.want(exitDone, "run", "--wait", "0s")
	grow := smallDisk(t, p.path("back"), "10m")
	back, r := p.restore(exitFailed, "latest", "back")
	r.says(t, "no space left on device")
	want := p.sourceFiles()
	for name, b := range filesIn(t, back) {
		if w, ok := want[name]; ok && w != b {
			t.Errorf("%s stands there with %d of its %d bytes", name, len(b), len(w))
		}
	}
	grow("64m")
	p.restore(exitDone, "latest", "back")
	equal(t, facts(t, p.source), facts(t, back))
}

// A limit on the size of files needs no rights of its own, unlike a small disk.
func TestStoreThatTakesNoLargeFilesIsTold(t *testing.T) {
	t.Parallel()
	p := full(t)
	c := p.command("run", "--wait", "0s", "--json")
	// 2,048 blocks of 512 or 1,024 bytes: less than a pack.
	limited := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -f 2048 && exec offsite "$@"`, "sh"}, c.Args[1:]...)...)
	limited.Dir, limited.Env = c.Dir, c.Env
	r := p.finish(limited)
	if r.code != exitStore || !strings.Contains(r.stderr, "make room at the store") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if days := p.days(); len(days) > 0 {
		t.Errorf("%v is stored", days)
	}
	p.want(exitDone, "run", "--wait", "0s")
	p.want(exitDone, "check", "--depth", "bytes", "--restore-key", p.key)
}
