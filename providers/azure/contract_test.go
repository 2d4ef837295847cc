package azure_test

import (
	"sync"
	"testing"

	"offsite/providers"
	"offsite/providers/azure"
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
		mu.Lock()
		defer mu.Unlock()
		configs[d] = cfg
		return d
	}, can)
}

// Azurite alone: neither versions nor immutability.
func TestContract(t *testing.T) {
	contract(t, realServer(t).URL, func(*azure.Config) {}, providertest.Abilities{})
}

func TestContractBelowPrefix(t *testing.T) {
	contract(t, realServer(t).URL, func(cfg *azure.Config) { cfg.Prefix = "practice/one" }, providertest.Abilities{})
}
