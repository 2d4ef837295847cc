package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"offsite/examples/practice"
	"offsite/providers/providertest/servers"
)

var (
	ceph          = servers.Shared[*servers.Ceph]{Start: servers.StartCeph}
	cephPractices atomic.Int64
)

// TestBucketFromSetupToRestore: what an IT provider types for a bucket, from an empty
// service to a restored day, against a real one.
func TestBucketFromSetupToRestore(t *testing.T) {
	c := ceph.Get(t)
	nightly := fmt.Sprintf("nightly-%d", cephPractices.Add(1)) // another one each time that this is repeated
	must(t, c.User(nightly, nightly+"-key", "nightly-secret"))
	p := &place{t: t, home: t.TempDir(), env: []string{
		"ADMIN_KEY=" + c.Access, "ADMIN_SECRET=" + c.Secret, "UPLOAD_KEY=" + nightly + "-key", "UPLOAD_SECRET=nightly-secret"}}
	p.source, p.key = p.path("source"), p.path("restore.key")
	set := practice.Options{Dir: p.source, Size: 6 << 20, Seed: 7}
	_, err := practice.Generate(t.Context(), set)
	must(t, err)

	bucket := "s3://practice-" + nightly + "/hill-road?leases=managed&path_style=true&conditions=none&endpoint=" + c.URL
	admin := "access_key=env:ADMIN_KEY&secret_key=env:ADMIN_SECRET"
	rights := []string{"--service", "ceph", "--user", "uploader=" + c.ARN(nightly)}

	p.want(exitUsage, "store", "setup", "--store", bucket, "--with", admin).says(t, "nobody to ask")
	var made settingsAnswer
	setup := append([]string{"store", "setup", "--json", "--yes", "--store", bucket, "--with", admin, "--size", "200GB"}, rights...)
	p.want(exitDone, setup...).into(t, &made)
	if len(made.Settings) < 8 || wrongSettings(made.Settings) > 0 {
		t.Errorf("set up: %+v", made)
	}
	p.want(exitDone, setup...) // again

	// The upload credential may not write keys, and the administrator's is not kept.
	found := []string{"init", "--source", p.source, "--store", bucket + "&access_key=env:UPLOAD_KEY&secret_key=env:UPLOAD_SECRET", "--holder", holderPublic}
	p.want(exitStore, found...).says(t, "access denied")
	p.want(exitDone, append(found, "--with", admin)...)
	if text, err := os.ReadFile(p.config()); err != nil || strings.Contains(string(text), "ADMIN") {
		t.Errorf("the administrator's credential went into the configuration: %v", err)
	}
	var sheet struct {
		Key string `json:"restore_key"`
	}
	p.want(exitDone, "key", "sheet", "--holder-key", p.file("holder.key", holderPrivate), "--json").into(t, &sheet)
	p.file("restore.key", sheet.Key+"\n")

	p.want(exitDone, "run", "--wait", "0s")
	first := facts(t, p.source)
	p.want(exitNothingNew, "run", "--wait", "0s")
	_, err = practice.Advance(t.Context(), set)
	must(t, err)
	p.want(exitDone, "run", "--wait", "0s")
	p.want(exitDone, "check", "--depth", "bytes", "--restore-key", p.key)
	to, _ := p.restore(exitDone, "latest", "latest")
	equal(t, facts(t, p.source), facts(t, to))
	var days struct {
		Days []struct {
			Day string `json:"day"`
		} `json:"days"`
	}
	p.want(exitDone, "days", "--json").into(t, &days)
	if len(days.Days) != 2 {
		t.Fatalf("days: %+v", days)
	}
	one, two := strings.TrimSuffix(days.Days[0].Day, "#2")+"#1", days.Days[1].Day
	to, _ = p.restore(exitDone, one, "first")
	equal(t, first, facts(t, to))
	var differ diffAnswer
	p.want(exitDone, "diff", one, two, "--restore-key", p.key, "--json").into(t, &differ)
	var everything findAnswer
	p.want(exitDone, "find", "*", "--restore-key", p.key, "--json").into(t, &everything)
	if differ.Added == 0 || everything.Days != 2 || len(everything.Found) < differ.Same+differ.Added {
		t.Errorf("%d added, %d the same; %d states in %d days", differ.Added, differ.Same, len(everything.Found), everything.Days)
	}
	p.want(exitDone, "drill", "--files", "5", "--restore-key", p.key)
	var state statusAnswer
	p.run("status", "--json").into(t, &state)
	if len(state.Stores) != 1 || state.Stores[0].Clean == nil || state.Stores[0].Error != "" {
		t.Errorf("status: %+v", state)
	}

	// Ceph has no way to limit leases; everything else that a thief tries is refused.
	var checked storeCheck
	p.run(append([]string{"store", "check", "--json", "--with", admin}, rights...)...).into(t, &checked)
	if len(checked.Attempts) < 15 || wrongSettings(checked.Settings) > 0 || checked.Canaries == nil || checked.Canaries.Kept != 2 || checked.ClockSkew == nil {
		t.Errorf("store check: %+v", checked)
	}
	for _, at := range checked.Attempts {
		if !at.Refused && at.Accepted == "" && !strings.Contains(at.Name, "99 years") && !strings.Contains(at.Name, "compliance") {
			t.Errorf("the upload credential may %s: %s", at.Name, at.Answer)
		}
	}
}
