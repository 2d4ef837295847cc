package azure_test

import (
	"sync"
	"testing"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azuretest"
	"offsite/providers/providertest"
)

// contract holds drivers of the configuration to the contract, each case with a
// container of its own.
func contract(t *testing.T, endpoint string, change func(*azure.Config), can providertest.Abilities) {
	var mu sync.Mutex
	configs := map[providers.Driver]azure.Config{}
	can.Clock = true
	can.Again = func(t *testing.T, d providers.Driver) providers.Driver {
		mu.Lock()
		defer mu.Unlock()
		return open(t, configs[d])
	}
	providertest.Run(t, func(t *testing.T) providers.Driver {
		cfg := newContainer(t, endpoint)
		change(&cfg)
		d := open(t, cfg)
		if cfg.Leases == azure.LeaseLastAccess {
			d = silent{d, d.(providers.Clock)}
		}
		mu.Lock()
		defer mu.Unlock()
		configs[d] = cfg
		return d
	}, can)
}

// silent hides the ability to raise leases.
type silent struct {
	providers.Driver
	providers.Clock
}

// Azurite alone: neither versions nor immutability.
func TestContract(t *testing.T) {
	contract(t, realServer(t).URL, func(*azure.Config) {}, providertest.Abilities{})
}

// Leases by last access cannot be stated, which the contract's cases of leases
// demand; the rest of the contract holds, with the ability to raise hidden. The
// leases have tests of their own.
func TestContractOfLastAccess(t *testing.T) {
	contract(t, realServer(t).URL, func(cfg *azure.Config) { cfg.Leases, cfg.KeepDays = azure.LeaseLastAccess, 40 }, providertest.Abilities{})
}

// worm is an account with versions and version-level immutability.
var worm = azuretest.Options{Versions: true, Immutable: true}

// The manager's side of leases by immutability, below a prefix. The uploader's is the
// same without Raise, and has tests of its own.
func TestContractOfManager(t *testing.T) {
	_, endpoint := newLayer(t, worm)
	contract(t, endpoint, func(cfg *azure.Config) {
		cfg.Leases, cfg.Versions, cfg.MaxLease, cfg.Prefix = azure.LeaseManager, true, 20*365*day, "practice/one"
	}, providertest.Abilities{Lease: true})
}
