package mem_test

import (
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/providertest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providers.Driver { return mem.New(mem.Options{Sum: true}) },
		providertest.Abilities{Lease: true, Sweep: true, Clock: true})
}

func TestContractWithoutLeases(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providers.Driver { return mem.New(mem.Options{}).Plain() },
		providertest.Abilities{Clock: true})
}

func TestBreachesAreReported(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	put := func(m *mem.Mem, key string, data string, opt providers.PutOptions) providers.Version {
		v, _ := m.Put(t.Context(), key, []byte(data), opt)
		return v
	}
	for _, c := range []struct {
		want   string
		breach func(m *mem.Mem)
	}{
		{"key outside the grammar", func(m *mem.Mem) { put(m, "R/A", "x", providers.PutOptions{}) }},
		{"over the limit", func(m *mem.Mem) {
			put(m, "r/a", string(make([]byte, providers.MaxObject+1)), providers.PutOptions{})
		}},
		{"immutable key", func(m *mem.Mem) {
			v := put(m, "r/a", "x", providers.PutOptions{})
			put(m, "r/a", "y", providers.PutOptions{Replace: v})
		}},
		{"lease is over", func(m *mem.Mem) { put(m, "r/a", "x", providers.PutOptions{Lease: now.Add(-1)}) }},
		{"lease is over", func(m *mem.Mem) {
			put(m, "r/a", "x", providers.PutOptions{})
			_ = m.Raise(t.Context(), "r/a", "", now.Add(-1))
		}},
		{"in the way of r/a", func(m *mem.Mem) {
			put(m, "r/a", "x", providers.PutOptions{})
			put(m, "r/a/b", "x", providers.PutOptions{})
		}},
		{"in the way of the keys below", func(m *mem.Mem) {
			put(m, "r/a/b", "x", providers.PutOptions{})
			put(m, "r/a", "x", providers.PutOptions{})
		}},
	} {
		var breaches []string
		c.breach(mem.New(mem.Options{Now: func() time.Time { return now }, Report: func(b string) { breaches = append(breaches, b) }}))
		if len(breaches) != 1 || !strings.Contains(breaches[0], c.want) {
			t.Errorf("reported %q, want one about %q", breaches, c.want)
		}
	}
}

func TestLapseRemovesOnlyWhatIsOver(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := mem.New(mem.Options{Now: func() time.Time { return now }})
	for key, lease := range map[string]time.Time{
		"r/short": now.Add(time.Hour), "r/long": now.Add(48 * time.Hour), "r/none": {}, "k/short": now.Add(time.Hour),
	} {
		if _, err := m.Put(t.Context(), key, []byte(key), providers.PutOptions{Lease: lease}); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Lapse("r/"); len(got) != 0 {
		t.Fatalf("removed %q too early", got)
	}
	now = now.Add(24 * time.Hour)
	before := m.Clone()
	if got := m.Lapse("r/"); len(got) != 1 || got[0] != "r/short" {
		t.Fatalf("removed %q, want r/short", got)
	}
	if len(m.Snapshot()) != 3 || len(before.Snapshot()) != 4 {
		t.Fatalf("%d objects left, %d in the clone", len(m.Snapshot()), len(before.Snapshot()))
	}
}

func TestDamageIsSilent(t *testing.T) {
	m := mem.New(mem.Options{Report: func(b string) { t.Errorf("reported: %s", b) }})
	if _, err := m.Put(t.Context(), "r/a", []byte("abc"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if !m.Damage("r/a", 1) || m.Damage("r/missing", 0) {
		t.Fatal("damage found the wrong objects")
	}
	if got, err := m.Get(t.Context(), "r/a", "", 0, -1); err != nil || string(got) != "acc" {
		t.Fatalf("read %q, %v", got, err)
	}
	if !m.Lose("r/a") || m.Lose("r/a") || len(m.Objects()) != 0 {
		t.Fatal("lose left something")
	}
}
