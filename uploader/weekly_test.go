package uploader_test

import (
	"fmt"
	"testing"
)

// TestEveryFileIsReadAgainWithinAWeek advances the clock day by day. The size of
// each file is a power of two, so the bytes read on a day tell which files they were.
func TestEveryFileIsReadAgainWithinAWeek(t *testing.T) {
	const files, days = 14, 29
	p := newPC(t, t.TempDir())
	p.addMem("first")
	for i := range files {
		p.write(fmt.Sprintf("file%d.jpg", i), noise(uint64(i), 1<<i))
	}
	p.commit()
	last, times := [files]int{}, [files]int{}
	for day := 1; day <= days; day++ {
		p.nextDay()
		res := p.commit()
		if res.Read == res.Bytes {
			t.Errorf("day %d: everything is read on one day", day)
		}
		for i := range files {
			if res.Read&(1<<i) != 0 {
				last[i], times[i] = day, times[i]+1
			}
			if day-last[i] > 7 {
				t.Errorf("day %d: file %d was last read on day %d", day, i, last[i])
			}
		}
	}
	for i, n := range times {
		if n > days/7+1 {
			t.Errorf("file %d was read %d times in %d days", i, n, days)
		}
	}
}

// TestEveryFileIsReadAgainAlsoAfterMissedRuns: with a run every few days only, a
// file whose turn was missed is read at the next one.
func TestEveryFileIsReadAgainAlsoAfterMissedRuns(t *testing.T) {
	const files = 12
	p := newPC(t, t.TempDir())
	p.addMem("first")
	for i := range files {
		p.write(fmt.Sprintf("file%d.jpg", i), noise(uint64(i), 1<<i))
	}
	p.commit()
	var last [files]int
	for day := 3; day <= 30; day += 3 {
		p.now = p.now.AddDate(0, 0, 3)
		res := p.commit()
		for i := range files {
			if res.Read&(1<<i) != 0 {
				last[i] = day
			}
			if day-last[i] > 9 {
				t.Errorf("day %d: file %d was last read on day %d", day, i, last[i])
			}
		}
	}
}

// TestAClockThatWentBackCostsReadingOnly: files seem to have been read in the future.
func TestAClockThatWentBackCostsReadingOnly(t *testing.T) {
	p, box := newPractice(t)
	p.now = p.now.AddDate(0, 0, 3)
	p.commit()
	packs := len(box.keys("r/p/"))
	p.now = p.now.AddDate(0, 0, -2)
	if res := p.commit(); res.Read != res.Bytes || res.New != 0 || len(box.keys("r/p/")) != packs {
		t.Errorf("read %d of %d, %d new", res.Read, res.Bytes, res.New)
	}
}
