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

// TestWaitSeesAnotherProgramsOpenFile starts a shell that holds a file open for
// writing until its input ends.
func TestWaitSeesAnotherProgramsOpenFile(t *testing.T) {
	t.Parallel()
	root := tree(t, "a", "sub/held")
	hold := exec.CommandContext(t.Context(), "sh", "-c", `exec 3>>"$0" 4<"$1"; echo open; read x || true`, filepath.Join(root, "sub/held"), filepath.Join(root, "a"))
	in, err := hold.StdinPipe()
	must(t, err)
	out, err := hold.StdoutPipe()
	must(t, err)
	must(t, hold.Start())
	_, err = out.Read(make([]byte, 5))
	must(t, err)
	opt := source.WaitOptions{Layout: source.Layout{Scan: one(root)}, Quiet: 5 * time.Millisecond, Limit: 30 * time.Millisecond, Now: time.Now}
	if _, err := source.Wait(t.Context(), opt); !errors.Is(err, source.ErrOpen) {
		t.Errorf("got %v", err)
	}
	must(t, in.Close())
	must(t, hold.Wait())
	opt.Limit = time.Minute
	if _, err := source.Wait(t.Context(), opt); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
}
