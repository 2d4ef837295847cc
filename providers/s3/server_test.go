package s3_test

import (
	"os"
	"testing"

	"offsite/providers/providertest/servers"
)

// The keys of the owner of everything, at every server.
const (
	accessKey = "offsite-test"
	secretKey = "no secret at all"
)

var (
	gateway = servers.Shared[*servers.Gateway]{Start: servers.StartGateway}
	ceph    = servers.Shared[*servers.Ceph]{Start: servers.StartCeph}
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m, &gateway, &ceph)) }

func gatewayURL(t *testing.T) string {
	t.Helper()
	return gateway.Get(t).URL
}
