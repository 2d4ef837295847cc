package uploader_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"offsite/manifest"
	"offsite/providers/providertest"
	"offsite/uploader"
	"offsite/uploader/simtest"
)

// rotting makes the source a folder in memory and returns a function that changes
// one byte of a file there without a trace: neither size, dates nor id change. It
// is the bit that flipped on the disk, or the hand that set the dates back.
func rotting(t *testing.T, p *practicePC, file string) (rot func()) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "offsite-test-*")
	if err != nil {
		t.Skipf("no file system in memory: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.CopyFS(dir, os.DirFS(p.source)))
	p.source = dir
	f, err := os.OpenFile(p.path(file), os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	check(t, err)
	t.Cleanup(func() { unix.Munmap(m) })
	// The first write through the map dates the file; later ones do not, as nothing
	// is ever written back that would have to be noticed again.
	m[len(m)/2] ^= 0
	m[len(m)/2]++
	m[len(m)/2]--
	return func() {
		before := listing(t, p.source)
		m[len(m)/2] ^= 1
		if listing(t, p.source) != before {
			t.Skip("this file system dates writes through a map")
		}
	}
}

func TestSilentRotIsFoundOnItsWeeklyTurn(t *testing.T) {
	for _, file := range []string{"images/b.jpg", "data/patients.fs5", "letters/one.txt"} {
		t.Run(file, func(t *testing.T) {
			p, _ := newPractice(t)
			rot := rotting(t, p, file)
			p.commit()
			good, err := simtest.ReadState(p.source)
			check(t, err)
			rot()
			found := 0
			for day := 1; day <= 8; day++ {
				p.nextDay()
				res, err := uploader.Run(t.Context(), p.config(), p.judge())
				check(t, err)
				rec := res.Stores[0].Ref.Record
				if res.Rotted == 0 {
					want := good // until its turn comes, the snapshot holds the good bytes
					if found > 0 {
						want, err = simtest.ReadState(p.source)
						check(t, err)
					}
					p.expect(want)
					if rec.Verdict != manifest.Clean || res.Verdict != manifest.Clean {
						t.Errorf("day %d: verdict %s, nothing was found", day, rec.Verdict)
					}
					continue
				}
				found++
				bad, err := simtest.ReadState(p.source)
				check(t, err)
				p.expect(bad)
				if rec.Verdict != manifest.Suspect || res.Verdict != manifest.Suspect || len(rec.Findings) == 0 {
					t.Errorf("day %d: found, and yet: result %s, record %s %+v", day, res.Verdict, rec.Verdict, rec.Findings)
				}
			}
			if found != 1 {
				t.Errorf("found on %d of 8 days, want 1", found)
			}
			p.once()
		})
	}
}

func TestSilentRotIsFoundWhenAllIsRead(t *testing.T) {
	p, _ := newPractice(t)
	rot := rotting(t, p, "images/b.jpg")
	p.commit()
	rot()
	p.change = func(c *uploader.Config) { c.ReadAll = true }
	if res := p.commit(); res.Rotted != 1 || res.Verdict != manifest.Suspect || res.Stores[0].Ref.Record.Verdict != manifest.Suspect {
		t.Errorf("rotted %d, verdict %s", res.Rotted, res.Verdict)
	}
}

// TestSilentRotIsFoundWhenAStoreCatchesUp: the file is read for one store's sake,
// and what is read then must not pass for the clean day that the others have.
func TestSilentRotIsFoundWhenAStoreCatchesUp(t *testing.T) {
	p, _ := newPractice(t)
	second := p.addMem("second")
	rot := rotting(t, p, "images/b.jpg")
	second.faulty.Set(providertest.Rule{Outcome: providertest.Gone})
	_, err := p.run()
	check(t, err)
	second.faulty.Set()
	rot()
	if res := p.commit(); res.Rotted != 1 || res.Verdict != manifest.Suspect {
		t.Errorf("rotted %d, verdict %s", res.Rotted, res.Verdict)
	}
}
