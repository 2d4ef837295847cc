package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Folders that nobody made for a test go in, come back and compare equal: bytes,
// modes, times, links. All of them are one set.
func TestRealFoldersComeBackEqual(t *testing.T) {
	t.Parallel()
	folders := []string{
		filepath.Join(goFolder(t, "env", "GOROOT"), "src", "net"),             // with its testdata
		filepath.Join(goFolder(t, "env", "GOROOT"), "src", "archive"),         // odd archives
		goFolder(t, "list", "-m", "-f", "{{.Dir}}", "filippo.io/age"),         // nothing in the module cache is writable
		goFolder(t, "list", "-m", "-f", "{{.Dir}}", "github.com/spf13/cobra"), // ditto
	}
	if info, err := os.Stat("/usr/share/doc"); err == nil && info.IsDir() && !raceDetector { // 100 MB or so
		folders = append(folders, "/usr/share/doc")
	}
	p := newPlace(t, folders...)
	p.want(exitDone, "run", "--wait", "0s")
	back, _ := p.restore(exitDone, "latest", "back")
	total := 0
	for _, f := range folders {
		want := facts(t, f)
		equal(t, want, facts(t, filepath.Join(back, filepath.Base(f))))
		total += len(want)
	}
	if total < 500 {
		t.Errorf("only %d entries were compared", total)
	}
	p.want(exitNothingNew, "run", "--wait", "0s")
	p.want(exitDone, "check", "--depth", "bytes", "--restore-key", p.key)
}

// noise is bytes that do not compress, the same ones each time.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b)
	return b
}
