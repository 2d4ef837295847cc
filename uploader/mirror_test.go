package uploader_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/mirror"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/simtest"
)

// diary is a practice with a few days in its first store, and what each of them was.
type diary struct {
	*practicePC
	first *box
	days  map[string]simtest.State // by record key in the first store
	refs  []manifest.Ref
}

func newDiary(t *testing.T, days int) *diary {
	p, b := newPractice(t)
	d := &diary{practicePC: p, first: b, days: make(map[string]simtest.State)}
	for day := range days {
		p.write("letters/today.txt", fmt.Sprint("day ", day))
		p.write(fmt.Sprintf("images/day-%d.jpg", day), noise(uint64(100+day), 90<<10))
		state, err := simtest.ReadState(p.source)
		check(t, err)
		ref := p.commit().Stores[0].Ref
		d.refs, d.days[ref.Key] = append(d.refs, ref), state
		p.nextDay()
	}
	return d
}

// copyTo copies to a box and tells the checker what the copies must hold.
func (d *diary) copyTo(b *box, want func(manifest.Ref) bool) (mirror.Result, error) {
	d.t.Helper()
	policy := retention.DefaultPolicy()
	res, err := mirror.Copy(d.t.Context(), mirror.Config{From: d.open(d.first.mem), To: d.open(b.hook), Key: d.key,
		Lease: policy.Lease, Now: func() time.Time { return d.now }, Want: want})
	for _, ref := range res.Copied {
		for _, was := range d.refs {
			if was.Record.Table == ref.Record.Table && was.Record.Date == ref.Record.Date {
				d.checker.Expect(b.name, ref.Key, d.days[was.Key])
			}
		}
	}
	return res, err
}

// another is a store that nobody has founded.
func (d *diary) another(name string) *box {
	b := newBox(d.t, name, d.newMem(name))
	d.boxes = append(d.boxes, b)
	return b
}

func TestCopySeedsAStore(t *testing.T) {
	d := newDiary(t, 4)
	b := d.another("second")
	res, err := d.copyTo(b, nil)
	check(t, err)
	if !res.Founded || len(res.Copied) != 4 || res.Had != 0 || len(res.Damaged) != 0 || res.Bytes == 0 {
		t.Fatalf("%+v", res)
	}
	d.check()
	again, err := d.copyTo(b, nil)
	check(t, err)
	if again.Founded || len(again.Copied) != 0 || again.Had != 4 || again.Objects != 0 {
		t.Errorf("copied again: %+v", again)
	}
	// The next night knows what stands there: nothing old is sent.
	d.stores = append(d.stores, uploader.Target{Name: "second", Store: d.open(b.hook)})
	d.write("letters/today.txt", "after the copy")
	night := d.commit()
	one, two := result(t, night, "first"), result(t, night, "second")
	if two.Packs != one.Packs || two.Bytes > one.Bytes+4<<10 {
		t.Errorf("the night sent %d packs with %d bytes to the copy, and %d with %d to the first store", two.Packs, two.Bytes, one.Packs, one.Bytes)
	}
	d.once()
}

func TestCopyOfOneDay(t *testing.T) {
	d := newDiary(t, 4)
	b := d.another("second")
	want := d.refs[1].Record.Date
	res, err := d.copyTo(b, func(r manifest.Ref) bool { return r.Record.Date == want })
	check(t, err)
	if len(res.Copied) != 1 || res.Copied[0].Record.Date != want || res.Unwanted != 3 {
		t.Errorf("%+v", res)
	}
	// An older day beside a newer one does not make the next night send anything twice.
	if res, err = d.copyTo(b, func(r manifest.Ref) bool { return r.Record.Date == d.refs[3].Record.Date }); err != nil || len(res.Copied) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if res, err = d.copyTo(b, func(r manifest.Ref) bool { return r.Record.Date == d.refs[0].Record.Date }); err != nil || len(res.Copied) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	d.check()
	d.stores = append(d.stores, uploader.Target{Name: "second", Store: d.open(b.hook)})
	d.write("letters/today.txt", "after the copy")
	if night := d.commit(); result(t, night, "second").Packs != result(t, night, "first").Packs {
		t.Errorf("the night sent %d packs to the copy", result(t, night, "second").Packs)
	}
}

// TestCopyGoesOn: a copy that is cut off at any write goes on at the next try, and
// sends nothing twice.
func TestCopyGoesOn(t *testing.T) {
	d := newDiary(t, 2)
	d.boxes = d.boxes[:1]
	broken := &providers.Error{Op: "put", Kind: providers.ErrDenied, Err: errors.New("the line went away")}
	for after := 0; ; after++ {
		b := d.another(fmt.Sprintf("cut-%d", after))
		var writes atomic.Int64
		var mu sync.Mutex
		sent := map[string]int{} // packs that arrived
		b.hook.set(func(op, key string, apply func() error) error {
			if (op == "put" || op == "raise") && writes.Add(1) > int64(after) {
				return broken
			}
			err := apply()
			if op == "put" && err == nil {
				mu.Lock()
				defer mu.Unlock()
				sent[key]++
			}
			return err
		})
		first, err := d.copyTo(b, nil)
		if err == nil {
			if len(first.Copied) != 2 || after < 10 {
				t.Fatalf("%d writes were enough: %+v", after, first)
			}
			break
		}
		writes.Store(-1 << 40) // the line is back
		second, err := d.copyTo(b, nil)
		check(t, err)
		if len(first.Copied)+len(second.Copied) != 2 || second.Had != len(first.Copied) {
			t.Errorf("cut after %d writes: first %+v, then %+v", after, first, second)
		}
		for key, n := range sent {
			if n > 1 {
				t.Errorf("cut after %d writes: %s was sent twice", after, key)
			}
		}
		d.check()
		d.boxes = d.boxes[:1]
	}
}

func TestCopyLeavesDamageBehind(t *testing.T) {
	d := newDiary(t, 3)
	// A pack that came with the second day.
	old := map[string]bool{}
	for _, p := range d.refs[0].Record.Packs {
		old[p.Name.String()] = true
	}
	var harmed manifest.Pin
	for _, p := range d.refs[1].Record.Packs {
		if !old[p.Name.String()] {
			harmed = p
		}
	}
	d.first.mem.Damage(manifest.PackKey(harmed.Name), 100)
	needs := func(ref manifest.Ref) bool {
		return slices.ContainsFunc(ref.Record.Packs, func(p manifest.Pin) bool { return p.Name == harmed.Name })
	}
	broken := 0
	for _, ref := range d.refs {
		if needs(ref) {
			d.checker.Break("first", ref.Key)
			broken++
		}
	}
	res, err := d.copyTo(d.another("second"), nil)
	check(t, err)
	if broken == 0 || len(res.Damaged) != broken || len(res.Copied) != 3-broken {
		t.Errorf("%d days need the pack: %+v", broken, res)
	}
	for _, dmg := range res.Damaged {
		if !errors.Is(dmg.Err, providers.ErrCorrupt) || !needs(dmg.Ref) {
			t.Errorf("%s: %v", dmg.Ref.Record.Date, dmg.Err)
		}
	}
}

func TestCopyRefusesToMixPractices(t *testing.T) {
	d, other := newDiary(t, 1), newDiary(t, 1)
	res, err := mirror.Copy(t.Context(), mirror.Config{From: d.open(d.first.mem), To: other.open(other.first.mem), Key: d.key,
		Lease: retention.DefaultPolicy().Lease, Now: func() time.Time { return d.now }})
	if err == nil || len(res.Copied) > 0 || res.Founded {
		t.Errorf("%+v, %v", res, err)
	}
}
