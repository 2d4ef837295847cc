package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"offsite/cmd/offsite/config"
)

// TestExampleConfigurationsAreAccepted: those of the services, as they stand.
func TestExampleConfigurationsAreAccepted(t *testing.T) {
	files, err := filepath.Glob("../../../examples/configs/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse(name, text)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, s := range c.Stores {
			if s.Address.Scheme != "dir" && s.Lease() == "" {
				t.Errorf("%s: store %s has no leases", name, s.Name)
			}
		}
	}
}
