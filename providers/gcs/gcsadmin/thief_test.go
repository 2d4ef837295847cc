package gcsadmin_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/providers"
)

// theft is one attack: what is tried on an object or on the bucket, and which
// statuses are answers that the scheme can live with.
type theft struct {
	what, method, path, contentType, body string
	live                                  []int
}

// thefts are everything that is tried on one stored object, by name in the bucket.
func (s *scene) thefts(obj providers.Object) []theft {
	path, bucket := s.objectPath(obj.Key), s.bucketPath()
	name := s.prefix + "/" + obj.Key
	upload := "/upload" + bucket + "/o?uploadType="
	const related, js = "multipart/related; boundary=b", "application/json"
	insert := "--b\r\nContent-Type: application/json\r\n\r\n{\"name\":\"" + name + "\"}\r\n--b\r\nContent-Type: text/plain\r\n\r\ngarbage\r\n--b--\r\n"
	no, kept := []int{403}, []int{400, 200, 403} // 403: outside r/ the printed role allows no change at all
	return []theft{
		{"delete", http.MethodDelete, path, "", "", no},
		{"delete the generation", http.MethodDelete, path + "?generation=" + string(obj.Version), "", "", no},
		{"write over", http.MethodPost, upload + "multipart", related, insert, no},
		{"write over the generation", http.MethodPost, upload + "multipart&ifGenerationMatch=" + string(obj.Version), related, insert, no},
		{"write over, plain upload", http.MethodPost, upload + "media&name=" + url.QueryEscape(name), "text/plain", "garbage", no},
		{"write over, upload in parts", http.MethodPost, upload + "resumable&name=" + url.QueryEscape(name), js, "{}", no},
		{"write over, other API", http.MethodPut, "/" + s.bucket + "/" + name, "text/plain", "garbage", no},
		{"rewrite without lease", http.MethodPost, path + "/rewriteTo/b/" + s.bucket + "/o/" + url.PathEscape(name), js, "{}", no},
		{"copy over itself", http.MethodPost, path + "/copyTo/b/" + s.bucket + "/o/" + url.PathEscape(name), js, "{}", no},
		{"compose over", http.MethodPost, path + "/compose", js, "{}", no},
		{"move away", http.MethodPost, path + "/moveTo/o/elsewhere", js, "", no},
		{"bring an older state back", http.MethodPost, path + "/restore?generation=1", js, "", no},
		{"give it to everybody", http.MethodPost, path + "/acl", js, `{"entity":"allUsers","role":"OWNER"}`, no},
		{"lock for 99 years", http.MethodPatch, path, js, `{"retention":{"mode":"Locked","retainUntilTime":"2130-01-01T00:00:00Z"}}`, no},
		{"earlier lease", http.MethodPatch, path, js, `{"customTime":"2031-03-01T00:00:00Z"}`, kept},
		{"no lease", http.MethodPatch, path, js, `{"customTime":null}`, kept},
		{"no metadata at all", http.MethodPut, path, js, `{}`, kept},
		{"other encoding", http.MethodPatch, path, js, `{"contentEncoding":"gzip"}`, kept},
	}
}

// onBucket are the attacks on the bucket itself.
func (s *scene) onBucket() []theft {
	bucket := s.bucketPath()
	const js = "application/json"
	no := []int{403}
	return []theft{
		{"a rule that eats all", http.MethodPatch, bucket, js, `{"lifecycle":{"rule":[{"action":{"type":"Delete"},"condition":{"age":0}}]}}`, no},
		{"no rules", http.MethodPatch, bucket, js, `{"lifecycle":null}`, no},
		{"no change at all", http.MethodPatch, bucket, js, `{}`, no},
		{"no retention period", http.MethodPatch, bucket, js, `{"retentionPolicy":null}`, no},
		{"a period of 100 years", http.MethodPatch, bucket, js, `{"retentionPolicy":{"retentionPeriod":"3155760000"}}`, no},
		{"lock the period", http.MethodPost, bucket + "/lockRetentionPolicy?ifMetagenerationMatch=1", js, "", no},
		{"no soft delete", http.MethodPatch, bucket, js, `{"softDeletePolicy":{"retentionDurationSeconds":"0"}}`, no},
		{"hold on new objects", http.MethodPatch, bucket, js, `{"defaultEventBasedHold":true}`, no},
		{"replace all settings", http.MethodPut, bucket, js, `{}`, no},
		{"read who may do what", http.MethodGet, bucket + "/iam", "", "", no},
		{"change who may do what", http.MethodPut, bucket + "/iam", js, `{"bindings":[{"role":"roles/storage.admin","members":["allUsers"]}]}`, no},
		{"read the settings", http.MethodGet, bucket, "", "", no},
		{"send notes of changes away", http.MethodPost, bucket + "/notificationConfigs", js, `{}`, no},
		{"delete the bucket", http.MethodDelete, bucket, "", "", no},
		{"make another bucket", http.MethodPost, "/storage/v1/b?project=practice-project", js, `{"name":"thief"}`, no},
	}
}

// steal makes one attempt and puts the answer into the table.
func (s *scene) steal(on string, a theft) {
	s.Helper()
	status, text := s.ask(uploadToken, a.method, a.path, a.contentType, a.body)
	s.Logf("%-10s %-28s -> %d", on, a.what, status)
	if !slices.Contains(a.live, status) {
		s.Errorf("%s: %s: status %d, want %v: %s", on, a.what, status, a.live, text)
	}
}

// A thief has the upload credential and the upload key. Whatever is tried, every
// snapshot committed before restores bit for bit until it expires, the PC's own
// nights go on, and an administrator can clear up.
func TestThief(t *testing.T) {
	s := newScene(t, "north/one")
	p := newPractice(s)
	for n := range uint64(3) {
		p.change(n)
		p.night()
		p.mustKeep(day)
	}
	before := p.stored()
	own, _, _ := p.committed()
	ends := p.until(own)
	victims := map[string]string{"header": manifest.HeaderKey, "record": own[1].Key}
	for key := range before {
		switch {
		case strings.HasPrefix(key, manifest.PackPrefix):
			victims["pack"] = key
		case strings.HasPrefix(key, manifest.SegmentPrefix):
			victims["segment"] = key
		case strings.HasPrefix(key, "keys/pc-"):
			victims["enrolment"] = key
		}
	}
	for _, on := range []string{"record", "pack", "segment", "enrolment", "header"} {
		for _, a := range s.thefts(before[victims[on]]) {
			s.steal(on, a)
		}
	}
	for _, a := range s.onBucket() {
		s.steal("bucket", a)
	}
	p.unharmed(before, own)
	p.poison(before)
	p.forge(own)
	p.unharmed(before, own)

	// The PC's nights go on, and so does the clock: three days, the retention period,
	// and on to where the first snapshots have little time left.
	for n := range uint64(2) {
		p.mustKeep(day)
		p.change(10 + n)
		p.night()
	}
	p.advance(15 * day)
	p.unharmed(before, own)
	p.advance(ends[own[0].Key].Add(-day).Sub(s.layer.Now()))
	p.unharmed(nil, own)
	p.clearUp()
}

// poison does to every second object what nobody can refuse to whoever raises leases.
func (p *practice) poison(before map[string]providers.Object) {
	p.Helper()
	changed, refused := 0, 0
	for n, key := range slices.Sorted(maps.Keys(before)) {
		if n%2 == 1 {
			continue // keeps the lease that the PC gave it
		}
		for _, body := range []string{`{"customTime":"9999-12-31T23:59:59Z"}`, `{"temporaryHold":true,"eventBasedHold":true}`} {
			switch status, text := p.ask(uploadToken, http.MethodPatch, p.objectPath(key), "application/json", body); status {
			case http.StatusOK:
				changed++
			case http.StatusForbidden:
				refused++
				if strings.HasPrefix(key, manifest.Removable) {
					p.Errorf("%s: the uploader cannot raise leases: %s", key, text)
				}
			default:
				p.Errorf("poison %s: %d %s", key, status, text)
			}
		}
	}
	p.Logf("%-10s %-28s -> 200 for %d, 403 for %d outside %s", "all", "year 9999, and holds", changed, refused, manifest.Removable)
}

// forge stores garbage under names that the PC will want, and signs records with
// the stolen upload key.
func (p *practice) forge(own []manifest.Ref) {
	p.Helper()
	store, now := p.store(uploadToken), p.layer.Now()
	last := own[len(own)-1].Record
	for what, key := range map[string]string{
		"garbage as a record":         manifest.RecordKey(sourceID, last.Seq+1),
		"garbage as a far record":     manifest.RecordKey(sourceID, last.Seq+3),
		"garbage as a lease record":   manifest.LeasePrefix + sourceID + "/0000",
		"garbage as a pack":           manifest.PackPrefix + "00/" + strings.Repeat("0", 64),
		"garbage as a segment":        manifest.SegmentPrefix + strings.Repeat("0", 64),
		"garbage as another source":   manifest.RecordKey("ffffffffffffffff", 1),
		"garbage beside the header":   "garbage.json",
		"garbage among the keys":      "keys/pc-ffffffffffffffff.json",
		"garbage as a holder's file":  "keys/holder-ffffffffffffffff.age",
		"garbage among the canaries":  providers.CanaryPrefix + "garbage",
		"garbage without any meaning": "r/z/garbage",
	} {
		_, err := store.Create(p.Context(), key, []byte("garbage"), time.Time{})
		p.Logf("%-10s %-28s -> %v", "forge", what, answer(err))
	}
	var packs, segments []manifest.Stored
	for _, stored := range manifest.Needs(own[0]) {
		stored = stored.Leased(now.AddDate(50, 0, 0))
		if strings.HasPrefix(stored.Key(), manifest.PackPrefix) {
			packs = append(packs, stored)
		} else {
			segments = append(segments, stored)
		}
	}
	for i, f := range []struct {
		what   string
		change func(r *manifest.Record)
	}{
		{"back-dated record", func(r *manifest.Record) {
			r.Date, r.Time = "2031-03-01", manifest.At(now.AddDate(0, 0, -3))
		}},
		{"a day again, as a revision", func(r *manifest.Record) { r.Date, r.Revision = own[0].Record.Date, 7 }},
		{"a record of the year 2031", func(r *manifest.Record) {
			r.Date, r.Time = "2031-12-31", manifest.At(now.AddDate(0, 9, 0))
		}},
		{"a record that expires at once", func(r *manifest.Record) { r.Date, r.Expiry = "2031-03-05", manifest.At(now.Add(time.Minute)) }},
	} {
		rec := last
		rec.Seq, rec.Prev = last.Seq+4+uint64(i), ""
		f.change(&rec)
		_, err := manifest.Commit(p.Context(), store, rec, packs, segments, p.key.Signing, now.Add(day))
		p.Logf("%-10s %-28s -> %v", "forge", f.what, answer(err))
		if err != nil {
			p.Errorf("%s: the thief of this test is no good: %v", f.what, err)
		}
	}
	pin := manifest.Needs(own[0])[0]
	err := manifest.WriteLeases(p.Context(), store, manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: sourceID, PC: p.key.PC, Time: manifest.At(now),
		Objects:   []manifest.ObjectLease{pin.Leased(now.Add(-day)).ObjectLease()},
		Snapshots: []manifest.SnapshotLease{{Seq: own[0].Record.Seq, Until: manifest.At(now.Add(-day)), Class: "over"}}}, p.key.Signing)
	p.Logf("%-10s %-28s -> %v", "forge", "lease record that shortens", answer(err))
}

func answer(err error) string {
	if err != nil {
		return err.Error()
	}
	return "stored, as a new object"
}

// unharmed: every object of before that is leased has its generation and no shorter lease,
// and every snapshot that has not expired restores bit for bit.
func (p *practice) unharmed(before map[string]providers.Object, own []manifest.Ref) {
	p.Helper()
	now := p.stored()
	for key, was := range before {
		if !was.Lease.IsZero() && was.Lease.Before(p.layer.Now()) {
			continue // a canary, in its time
		}
		if is := now[key]; is.Version != was.Version || is.Lease.Before(was.Lease) {
			p.Errorf("%s was %+v\nis %+v", key, was, is)
		}
	}
	again, _, _ := p.committed()
	for _, ref := range own {
		if !slices.ContainsFunc(again, func(r manifest.Ref) bool { return r.Key == ref.Key && r.Version == ref.Version }) {
			p.Errorf("%s is not listed any more", ref.Key)
		}
		if err := p.restores(ref); err != nil {
			p.Errorf("%s: %v", ref.Record.Date, err)
		}
	}
	p.Logf("%v: %d objects as before, %d snapshots restore bit for bit", p.layer.Now().Format(time.DateOnly), len(before), len(own))
}

// clearUp is what the emergency role is for: holds and garbage.
func (p *practice) clearUp() {
	p.Helper()
	held := 0
	for key := range p.stored() {
		if status, text := p.ask(emergency, http.MethodPatch, p.objectPath(key), "application/json", `{"temporaryHold":false,"eventBasedHold":false}`); status != http.StatusOK {
			p.Errorf("clear %s: %d %s", key, status, text)
		}
		held++
	}
	status, text := p.ask(emergency, http.MethodDelete, p.objectPath("r/z/garbage"), "", "")
	if status >= 300 {
		p.Errorf("remove garbage: %d %s", status, text)
	}
	p.Logf("%-10s %-28s -> %d objects cleared, garbage removed", "emergency", "clear up", held)
}
