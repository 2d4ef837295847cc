package azure_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// TestManagerKeepsWhatRecordsNeed: the uploader commits with its own rights, the
// manager raises with its own, the account's rule removes; each sees the others'
// work in the store alone.
func TestManagerKeepsWhatRecordsNeed(t *testing.T) {
	p := newPractice(t, z1)
	wait := providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }}
	up, man := providers.NewStore(p.uploader, wait), providers.NewStore(p.manager, wait)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	restore, err := seal.NewRestoreKey()
	must(err)
	secrets, err := seal.NewSecrets()
	must(err)
	owner := restore.Owner()
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	must(err)
	now := p.layer.Now()
	header := manifest.Header{Format: 1, Repository: key.Repository, Created: manifest.At(now), Owner: manifest.Public(owner.Public()),
		Restore: key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable}
	must(manifest.Found(t.Context(), up, manifest.Founding{Header: header, Owner: owner, Enrolment: manifest.Enrolment{Format: 1,
		Repository: key.Repository, PC: key.PC, Signing: manifest.Public(key.Public()), Created: manifest.At(now)}}))
	trust, err := manifest.LoadTrust(t.Context(), man, header)
	must(err)

	var packs []manifest.Stored
	for i := range 3 {
		b := fmt.Appendf(nil, "sealed bytes %d", i)
		s, err := manifest.SavePack(t.Context(), up, pack.NameOf(b), b, now.Add(40*day))
		must(err)
		packs = append(packs, s)
	}
	const source = "0102030405060708"
	commit := func(seq uint64, keep time.Duration, packs ...manifest.Stored) string {
		t.Helper()
		for i := range packs {
			packs[i] = packs[i].Leased(now.Add(keep))
		}
		ref, err := manifest.Commit(t.Context(), up, manifest.Record{Format: 1, Repository: key.Repository, Source: source, PC: key.PC, Seq: seq,
			Time: manifest.At(now), Date: now.Format(time.DateOnly), Revision: int(seq), Zone: "UTC", Profile: "generic", Verdict: manifest.Clean,
			Expiry: manifest.At(now.Add(keep)), Table: manifest.Table{Root: "00000000000000000000000000000000"}}, packs, nil, key.Signing, now.Add(keep))
		must(err)
		return ref.Key
	}
	record := commit(1, 40*day, packs[0], packs[1])
	forged := commit(2, 50*366*day, packs[2]) // a thief with the upload key asks for fifty years

	manage := func() (keep.Managed, *keep.Evidence) {
		t.Helper()
		e, err := keep.Read(t.Context(), man, trust, keep.Options{Longest: 300 * day})
		must(err)
		done, err := keep.Manage(t.Context(), man, e.Raises(p.layer.Now(), func(need time.Time, _ string) time.Time { return need.Add(7 * day) },
			func(keep.Place) time.Time { return time.Time{} }))
		must(err)
		return done, e
	}
	done, e := manage()
	if len(done.Raised) != 3 || len(e.Refused()) != 1 || e.Refused()[0].Key != forged {
		t.Errorf("raised %+v, refused %+v", done.Raised, e.Refused())
	}
	if done, _ := manage(); len(done.Raised) != 0 {
		t.Errorf("raised again: %+v", done.Raised)
	}
	want := func(when string, keys ...string) {
		t.Helper()
		for _, k := range append([]string{record, forged}, packs[0].Key(), packs[1].Key(), packs[2].Key()) {
			_, err := p.uploader.Stat(t.Context(), k, "")
			stands := false
			for _, w := range keys {
				stands = stands || w == k
			}
			if (err == nil) != stands {
				t.Errorf("%s: %s: %v", when, k, err)
			}
		}
	}
	p.advance(39)
	want("before the snapshot expires", record, packs[0].Key(), packs[1].Key())
	p.advance(12)
	want("when all leases are over")
}
