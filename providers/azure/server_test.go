package azure_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azuretest"
)

// startLimit serves the installation too: a cold one on a busy machine takes two
// minutes.
const startLimit = 8 * time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	azurite.stop()
	os.Exit(code)
}

// shared is the one server of all tests of this package.
type shared struct {
	once   sync.Once
	server *azuretest.Server
	data   string
	err    error
	seq    atomic.Int64
}

var azurite shared

func (s *shared) start() {
	cache, err := os.UserCacheDir()
	if err == nil {
		s.data, err = os.MkdirTemp("", "offsite-azurite-")
	}
	if err != nil {
		s.err = err
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	s.server, s.err = azuretest.Start(ctx, filepath.Join(cache, "offsite-test-servers"), s.data)
}

func (s *shared) stop() {
	if s.server != nil {
		s.server.Stop()
	}
	if s.data != "" {
		os.RemoveAll(s.data)
	}
}

// realServer is the server, started and if need be installed. Where that is
// impossible the test fails if servers are required (CI=true or
// OFFSITE_SERVERS=require), and else is left out with the reason.
func realServer(t *testing.T) *azuretest.Server {
	t.Helper()
	azurite.once.Do(azurite.start)
	if azurite.err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("OFFSITE_SERVERS") == "require" {
			t.Fatalf("no server to test against: %v", azurite.err)
		}
		t.Skipf("LEFT OUT, no server to test against: %v", azurite.err)
	}
	return azurite.server
}

// newContainer makes a container and returns the configuration that opens it.
func newContainer(t *testing.T, endpoint string) azure.Config {
	t.Helper()
	s := realServer(t)
	name := fmt.Sprintf("test-%d", azurite.seq.Add(1))
	if _, err := admin(t, endpoint, name).Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return azure.Config{Account: s.Account, Container: name, Endpoint: endpoint, SharedKey: s.Key, UserAgent: "offsite/test"}
}

// admin is somebody who may do everything with a container.
func admin(t *testing.T, endpoint, name string) *container.Client {
	t.Helper()
	key, err := blob.NewSharedKeyCredential(azurite.server.Account, azurite.server.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := container.NewClientWithSharedKeyCredential(endpoint+"/"+name, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, cfg azure.Config) providers.Driver {
	t.Helper()
	d, err := azure.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// start is when the virtual clock of layers begins.
var start = time.Date(2026, 11, 20, 19, 0, 0, 0, time.UTC)

// newLayer serves an enforcing layer before the real server and returns its endpoint.
func newLayer(t *testing.T, opt azuretest.Options) (*azuretest.Layer, string) {
	t.Helper()
	opt.Upstream, opt.Start = realServer(t), start
	layer := azuretest.New(opt)
	server := httptest.NewServer(layer)
	t.Cleanup(server.Close)
	return layer, server.URL + "/" + opt.Upstream.Account
}

const day = 24 * time.Hour
