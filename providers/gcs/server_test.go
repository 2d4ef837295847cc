package gcs_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"offsite/providers/providertest/servers"
)

var (
	server    = servers.Shared[*servers.FakeGCS]{Start: servers.StartFakeGCS}
	bucketSeq atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m, &server)) }

// serverURL is the one real server that all tests of this package share.
func serverURL(t *testing.T) string {
	t.Helper()
	return server.Get(t).URL
}

// newBucket makes a bucket of its own and returns its name.
func newBucket(t *testing.T, url string) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", bucketSeq.Add(1))
	res, err := http.Post(url+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("make bucket: status %d", res.StatusCode)
	}
	return name
}
