//go:build linux

package source_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"offsite/uploader/source"
)

// TestScanRefusesLiveDataUnderABindMount mounts the live folder in a second place,
// in a process with mounts of its own, so that nothing is left behind.
func TestScanRefusesLiveDataUnderABindMount(t *testing.T) {
	const mark = "OFFSITE_TEST_OWN_MOUNTS"
	if os.Getenv(mark) == "" {
		if os.Getuid() != 0 {
			t.Skip("only root may mount")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), mark+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skip("this sandbox does not allow mounts")
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	base := tree(t, "live/data/x", "copy/", "other/y")
	at := func(name string) string { return filepath.Join(base, name) }
	if err := unix.Mount(at("live"), at("copy"), "", unix.MS_BIND, ""); err != nil {
		t.Skip("this sandbox does not allow mounts")
	}
	defer func() { must(t, unix.Unmount(at("copy"), unix.MNT_DETACH)) }()
	for _, c := range []struct {
		root, live string
		refused    bool
	}{
		{"copy", "live", true},
		{"copy", "live/data", true},
		{"copy/data", "live", true},
		{"live", "copy/data", true},
		{"other", "copy", false},
	} {
		opt := one(at(c.root))
		opt.Live = []string{at(c.live)}
		if _, err := source.Scan(t.Context(), opt); errors.Is(err, source.ErrLive) != c.refused {
			t.Errorf("root %s, live %s: %v", c.root, c.live, err)
		}
	}
}
