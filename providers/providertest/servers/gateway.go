package servers

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// Gateway is versitygw, a maintained S3 server over a folder, with versions and
// Object Lock in both modes. It has no lifecycle rules.
type Gateway struct {
	URL, Access, Secret string // of its owner

	*Process
	binary, folder string
}

// StartGateway builds it where it is missing, and starts it.
func StartGateway(log Log) (*Gateway, error) {
	binary, err := Module{Package: "github.com/versity/versitygw/cmd/versitygw", Version: "v1.8.0", Name: "versitygw"}.Install(log)
	if err != nil {
		return nil, err
	}
	return inFolder(func(address, folder string) (*Gateway, error) {
		g := &Gateway{URL: "http://" + address, Access: "offsite-test", Secret: "no secret at all", binary: binary, folder: folder}
		for _, sub := range []string{"data", "versions", "users"} {
			if err := os.Mkdir(filepath.Join(folder, sub), 0o700); err != nil {
				return nil, err
			}
		}
		var err error
		g.Process, err = Run(answers(g.URL), folder, binary, "--port", address, "--access", g.Access, "--secret", g.Secret, "--quiet", "--keep-alive",
			"--iam-dir", filepath.Join(folder, "users"), "posix", "--versioning-dir", filepath.Join(folder, "versions"), filepath.Join(folder, "data"))
		return g, err
	})
}

// Stop ends it and removes what it kept.
func (g *Gateway) Stop() {
	g.Process.Stop()
	_ = os.RemoveAll(g.folder)
}

// User makes somebody without any rights.
func (g *Gateway) User(name, secret string) error {
	out, err := exec.Command(g.binary, "admin", "--access", g.Access, "--secret", g.Secret, "--endpoint-url", g.URL,
		"create-user", "--access", name, "--secret", secret, "--role", "user").CombinedOutput()
	if err != nil {
		return fmt.Errorf("create user %s: %w: %s", name, err, lastOf(out))
	}
	return nil
}

// answers says whether anything at all is answered at url.
func answers(url string) func() bool {
	return func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		res.Body.Close()
		return true
	}
}
