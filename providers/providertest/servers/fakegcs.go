package servers

import (
	"net"
	"net/http"
	"os"
)

// FakeGCS is fake-gcs-server, which keeps everything in memory.
type FakeGCS struct {
	URL string

	*Process
	folder string
}

// StartFakeGCS builds it where it is missing, and starts it.
func StartFakeGCS(log Log) (*FakeGCS, error) {
	binary, err := Module{Package: "github.com/fsouza/fake-gcs-server", Version: "v1.56.1", Name: "fake-gcs-server"}.Install(log)
	if err != nil {
		return nil, err
	}
	return inFolder(func(address, folder string) (*FakeGCS, error) {
		s := &FakeGCS{URL: "http://" + address, folder: folder}
		host, port, err := net.SplitHostPort(address)
		if err == nil {
			s.Process, err = Run(s.healthy, folder, binary, "-scheme", "http", "-host", host, "-port", port,
				"-external-url", s.URL, "-backend", "memory", "-log-level", "error")
		}
		return s, err
	})
}

func (s *FakeGCS) healthy() bool {
	res, err := http.Get(s.URL + "/_internal/healthcheck")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Stop ends it.
func (s *FakeGCS) Stop() {
	s.Process.Stop()
	_ = os.RemoveAll(s.folder)
}
