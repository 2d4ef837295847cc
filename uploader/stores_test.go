package uploader_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"offsite/providers"
	"offsite/providers/providertest"
	"offsite/uploader"
)

var gone = providertest.Rule{Outcome: providertest.Gone}

func TestEveryStoreGetsTheSamePacks(t *testing.T) {
	p, first := newPractice(t)
	others := []*box{p.addMem("second"), p.addMem("third")}
	res := p.commit()
	for _, b := range others {
		if !slices.Equal(first.keys("r/p/"), b.keys("r/p/")) {
			t.Errorf("store %s has packs of its own: each file must be read and each chunk sealed once", b.name)
		}
	}
	if res.Read != res.Bytes {
		t.Errorf("%d bytes read of %d", res.Read, res.Bytes)
	}
	p.once()
}

func TestAStoreThatWasDownCatchesUpTheSameDay(t *testing.T) {
	p, first := newPractice(t)
	second, third := p.addMem("second"), p.addMem("third")
	second.faulty.Set(gone)
	res, err := p.run()
	check(t, err)
	if s := result(t, res, "second"); !errors.Is(s.Err, providers.ErrUnreachable) || s.Ref.Key != "" {
		t.Errorf("the store that is down: %s", describe(res, err))
	}
	for _, name := range []string{"first", "third"} {
		if s := result(t, res, name); s.Err != nil || s.Ref.Key == "" {
			t.Errorf("store %s must not suffer: %s", name, describe(res, err))
		}
	}

	// Still down: the others have it all, and that is no success.
	if res, err := p.run(); errors.Is(err, uploader.ErrNothingNew) || result(t, res, "second").Err == nil {
		t.Errorf("still down: %s", describe(res, err))
	}

	second.faulty.Set()
	before := [2]int{len(first.writes(0)), len(third.writes(0))}
	res, err = p.run()
	check(t, err)
	if s := result(t, res, "second"); s.Ref.Key == "" || s.Packs == 0 {
		t.Errorf("it came back and was not brought up to date: %s", describe(res, err))
	}
	if after := [2]int{len(first.writes(0)), len(third.writes(0))}; after != before {
		t.Errorf("the others had all of it, and were written to: %v, then %v", before, after)
	}
	p.nothingNew()
	p.once()
}

func TestAStoreThatWasDownForDaysCatchesUpAlone(t *testing.T) {
	p, first := newPractice(t)
	second := p.addMem("second")
	p.commit()
	second.faulty.Set(gone)
	for i := range 3 {
		p.nextDay()
		p.write(fmt.Sprintf("images/day%d.jpg", i), noise(uint64(10+i), 50<<10))
		p.edit("data/patients.fs5", int64(i)*40<<10, "another page")
		if _, err := p.run(); err != nil {
			t.Fatal(err)
		}
	}
	second.faulty.Set()
	p.nextDay()
	p.write("images/new.jpg", noise(20, 50<<10))
	packs := len(first.keys("r/p/"))
	res := p.commit()
	if n := len(first.keys("r/p/")) - packs; n > 2 {
		t.Errorf("%d new packs in the store that lacked one file and a table", n)
	}
	if s := result(t, res, "second"); s.Packs < 2 {
		t.Errorf("the one that was down got %d packs", s.Packs)
	}
	if n, m := len(first.keys("r/s/")), len(second.keys("r/s/")); n != 5 || m != 2 {
		t.Errorf("%d and %d records, want 5 and 2", n, m)
	}
	p.once()
}

func TestAStoreThatFailsInMidRunDoesNotStopTheOthers(t *testing.T) {
	for n := 1; n <= 6; n++ {
		for _, outcome := range []providertest.Outcome{providertest.Gone, providertest.Deny} {
			if n%thin != 0 {
				continue
			}
			t.Run(fmt.Sprintf("put %d, outcome %d", n, outcome), func(t *testing.T) {
				p, _ := newPractice(t)
				second := p.addMem("second")
				second.faulty.Set(providertest.Rule{Op: "put", Nth: n, Outcome: outcome})
				res, err := p.run()
				if err != nil || result(t, res, "first").Ref.Key == "" {
					t.Fatalf("the other store: %s", describe(res, err))
				}
				if s := result(t, res, "second"); n <= 6 && s.Err == nil {
					t.Errorf("the failing store: %s", describe(res, err))
				}
				second.faulty.Set()
				if res, err = p.run(); err != nil && !errors.Is(err, uploader.ErrNothingNew) {
					t.Errorf("next run: %s", describe(res, err))
				}
				if n := len(second.keys("r/s/")); n != 1 {
					t.Errorf("%d records in the store that failed, want 1", n)
				}
				if n := len(p.boxes[0].keys("r/s/")); n != 1 {
					t.Errorf("%d records in the other store, want 1", n)
				}
				p.once()
			})
		}
	}
}

func TestNoStoreAtAllIsAnError(t *testing.T) {
	p, first := newPractice(t)
	first.faulty.Set(gone)
	p.addMem("second").faulty.Set(providertest.Rule{Outcome: providertest.Deny})
	res, err := p.run()
	if !errors.Is(err, uploader.ErrStores) || !errors.Is(err, providers.ErrUnreachable) || !errors.Is(err, providers.ErrDenied) {
		t.Errorf("%s", describe(res, err))
	}
}

// TestStoresThatLackDifferentThings: each combination of class and stores is filled
// apart, and there are more of them than packs may be open at a time.
func TestStoresThatLackDifferentThings(t *testing.T) {
	p, _ := newPractice(t)
	p.addMem("second")
	p.addMem("third")
	all := p.boxes
	for i := range all {
		for j, b := range all {
			b.faulty.Set()
			if j != i {
				b.faulty.Set(gone)
			}
		}
		for k := range 12 { // of all kinds, so that the files of all days mix
			p.write(fmt.Sprintf("f%02d-%d.jpg", k, i), noise(uint64(100*i+k), 30<<10))
			p.write(fmt.Sprintf("f%02d-%d.fs5", k, i), noise(uint64(1000+100*i+k), 30<<10))
		}
		if _, err := p.run(); err != nil {
			t.Fatal(err)
		}
		p.nextDay()
	}
	for _, b := range all {
		b.faulty.Set()
	}
	for workers := range 6 {
		if workers%thin != 1%thin {
			continue
		}
		t.Run(fmt.Sprintf("%d workers", workers+1), func(t *testing.T) {
			p := p.fork(t, p.now)
			p.change = func(c *uploader.Config) { c.Workers = workers + 1 }
			if res, err := p.run(); err != nil {
				t.Fatal(describe(res, err))
			}
			p.once()
		})
	}
}
