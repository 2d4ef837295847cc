package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

const installLimit = 9 * time.Minute // a cold build on two busy cores takes five

// Module is a server that Go builds.
type Module struct {
	Package, Version string
	Name             string // of the program
}

// Install builds the program once, into the cache folder of this user, and returns
// where it is.
func (m Module) Install(log Log) (string, error) {
	file := m.Name
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	var binary string
	err := once(m.Name+"-"+m.Version, func(ctx context.Context, folder string) error {
		binary = filepath.Join(folder, file)
		if _, err := os.Stat(binary); err == nil {
			return nil
		}
		log("building %s@%s, once for this user", m.Package, m.Version)
		fresh, err := os.MkdirTemp(folder, "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(fresh)
		err = again(ctx, log, func() (bool, error) {
			cmd := exec.CommandContext(ctx, "go", "install", m.Package+"@"+m.Version)
			cmd.Dir = fresh // outside this module
			cmd.Env = append(cmd.Environ(), "GOBIN="+fresh, "GOFLAGS=", "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("go install %s@%s: %w: %s", m.Package, m.Version, err, lastOf(out))
			}
			return false, err
		})
		if err != nil {
			return err
		}
		return os.Rename(filepath.Join(fresh, file), binary)
	})
	return binary, err
}

// once runs install with the folder of that name in the cache of this user, while
// no other process does.
func once(name string, install func(ctx context.Context, folder string) error) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	folder := filepath.Join(cache, "offsite-test-servers", name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installLimit)
	defer cancel()
	lock := flock.New(filepath.Join(folder, ".lock"))
	if _, err := lock.TryLockContext(ctx, pollEvery); err != nil {
		return fmt.Errorf("wait for another installation: %w", err)
	}
	defer lock.Close()
	return install(ctx, folder)
}

func lastOf(out []byte) []byte {
	const most = 600
	out = bytes.TrimSpace(out)
	return out[max(0, len(out)-most):]
}
