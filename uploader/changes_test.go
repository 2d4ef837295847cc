package uploader_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offsite/manifest/pack"
	"offsite/uploader"
	"offsite/uploader/source"
)

// during runs f once, while the first pack is being stored.
func (b *box) during(f func()) {
	var once sync.Once
	b.hook.set(func(op, key string, apply func() error) error {
		if op == "put" {
			once.Do(f)
		}
		return apply()
	})
}

// TestASourceThatChangesDuringTheRunIsNotCommitted: whatever happens to the source
// between the listing and the commit, nothing is committed and the next run is whole.
func TestASourceThatChangesDuringTheRunIsNotCommitted(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *practicePC)
	}{
		{"a file grows", func(p *practicePC) { p.write("letters/one.txt", strings.Repeat("Dear colleague. ", 100)) }},
		{"a file is cut", func(p *practicePC) { check(p.t, os.Truncate(p.path("images/b.jpg"), 100)) }},
		{"a page is written", func(p *practicePC) { p.edit("data/patients.fs5", 100<<10, "x") }},
		{"a file vanishes", func(p *practicePC) { check(p.t, os.Remove(p.path("images/b.jpg"))) }},
		{"a folder vanishes", func(p *practicePC) { check(p.t, os.RemoveAll(p.path("letters"))) }},
		{"a file becomes a folder", func(p *practicePC) {
			check(p.t, os.Remove(p.path("images/a.jpg")))
			check(p.t, os.Mkdir(p.path("images/a.jpg"), 0o755))
		}},
		{"a file is replaced by one of its size and date", func(p *practicePC) {
			info, err := os.Stat(p.path("images/a.jpg"))
			check(p.t, err)
			check(p.t, os.Remove(p.path("images/a.jpg")))
			p.write("images/a.jpg", noise(99, 60<<10))
			check(p.t, os.Chtimes(p.path("images/a.jpg"), info.ModTime(), info.ModTime()))
		}},
		{"a file is new", func(p *practicePC) { p.write("letters/three.txt", "just written") }},
		{"a folder is new", func(p *practicePC) { check(p.t, os.Mkdir(p.path("letters/2027"), 0o755)) }},
		{"a file is renamed", func(p *practicePC) { check(p.t, os.Rename(p.path("letters/one.txt"), p.path("letters/1.txt"))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, box := newPractice(t)
			box.during(func() { c.do(p) })
			res, err := p.run()
			if !errors.Is(err, uploader.ErrUnsettled) {
				t.Errorf("%s, want ErrUnsettled", describe(res, err))
			}
			if len(res.Changed) == 0 {
				t.Error("the result does not say what changed")
			}
			if n := len(box.keys("r/s/")); n != 0 {
				t.Errorf("%d snapshots of a set that never was", n)
			}
			box.hook.set(nil)
			p.commit()
			p.once()
		})
	}
}

// TestASourceThatChangesBeforeItIsRead: the set was listed and judged, and then a
// file went away or changed before the run came to it.
func TestASourceThatChangesBeforeItIsRead(t *testing.T) {
	for name, do := range map[string]func(p *practicePC){
		"vanished": func(p *practicePC) { check(p.t, os.Remove(p.path("letters/two.txt"))) },
		"shorter":  func(p *practicePC) { check(p.t, os.Truncate(p.path("images/b.jpg"), 1)) },
		"link": func(p *practicePC) {
			check(p.t, os.Remove(p.path("images/a.jpg")))
			check(p.t, os.Symlink("b.jpg", p.path("images/a.jpg")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, box := newPractice(t)
			passed := p.judge()
			do(p)
			res, err := uploader.Run(t.Context(), p.config(), passed)
			if !errors.Is(err, uploader.ErrUnsettled) || len(box.keys("r/s/")) != 0 {
				t.Errorf("%s, want ErrUnsettled", describe(res, err))
			}
			p.commit()
		})
	}
}

// TestAFileThatCannotBeReadStopsTheSnapshot: a gap must never look like a backup.
func TestAFileThatCannotBeReadStopsTheSnapshot(t *testing.T) {
	p, box := newPractice(t)
	release := hold(t, p.path("letters/two.txt"))
	res, err := uploader.Run(t.Context(), p.config(), p.judge()) // p.run would read the file itself
	if !errors.Is(err, uploader.ErrUnreadable) || len(res.Unread) != 1 || res.Unread[0].Path != "letters/two.txt" {
		t.Errorf("%s, unread %v; want one file that cannot be read", describe(res, err), res.Unread)
	}
	if n := len(box.keys("r/s/")); n != 0 {
		t.Errorf("%d snapshots with a gap", n)
	}
	if err != nil && strings.Contains(err.Error(), "two.txt") {
		t.Errorf("the error, which may be logged, names the file: %v", err)
	}
	release()
	p.commit()
	p.once()
}

func TestEverythingThatASourceMayHoldIsKept(t *testing.T) {
	p, _ := newPractice(t)
	for _, name := range []string{
		" leading space", "trailing space ", "two  spaces", "Müller, Jürgen", "日本語/ファイル", "né\u0301e", "a\tb", "quote\"'`", "-rf", "..hidden", ".dot",
		"percent%2e", strings.Repeat("x", 255), strings.Repeat("long folder name/", 60) + "file",
	} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "\t\"") {
			continue
		}
		p.write(name, "content of "+name)
	}
	if runtime.GOOS == "linux" {
		p.write("not UTF-8 \xff\xfe\x80", "bytes")
		p.write("line\nbreak", "bytes")
		p.write("back\\slash", "bytes")
	}
	p.write("empty", "")
	p.write("sizes/one byte", "x")
	for _, n := range []int{16<<10 - 1, 16 << 10, 16<<10 + 1, 256 << 10, 512 << 10, 512<<10 + 1} {
		p.write(fmt.Sprintf("sizes/%d.jpg", n), noise(uint64(n), n))
		p.write(fmt.Sprintf("sizes/%d.fs5", n), noise(uint64(n)+1, n))
		p.write(fmt.Sprintf("sizes/%d.txt", n), strings.Repeat("a line of a log\n", n/16+1)[:n])
	}
	check(t, os.MkdirAll(p.path("empty folder/within"), 0o700))
	check(t, os.Symlink("letters/one.txt", p.path("link")))
	check(t, os.Symlink("/nowhere/at all", p.path("dangling")))
	check(t, os.Symlink("letters", p.path("link to folder")))
	check(t, os.Chmod(p.path("letters/one.txt"), 0o640))
	check(t, os.Chtimes(p.path("letters/two.txt"), time.Unix(0, 1), time.Unix(-5, 999999999)))
	res := p.commit()
	if c := res.Stores[0].Ref.Record.Counts; c.Links != 3 || c.Bytes != res.Bytes {
		t.Errorf("counts are %+v", c)
	}
	p.once()
}

func TestTouchedMovedAndCopiedFilesStoreNextToNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *practicePC)
	}{
		{"touched", func(p *practicePC) {
			for _, f := range []string{"images/b.jpg", "data/patients.fs5", "letters/one.txt"} {
				check(p.t, os.Chtimes(p.path(f), p.now, p.now))
			}
		}},
		{"moved", func(p *practicePC) { check(p.t, os.Rename(p.path("images"), p.path("pictures"))) }},
		{"renamed", func(p *practicePC) {
			check(p.t, os.Rename(p.path("data/patients.fs5"), p.path("data/patients-old.fs5")))
			check(p.t, os.Rename(p.path("images/b.jpg"), p.path("images/c.jpg")))
		}},
		{"copied", func(p *practicePC) { p.write("images/copy.jpg", noise(2, 700<<10)) }},
		{"written again", func(p *practicePC) {
			check(p.t, os.RemoveAll(p.path("images")))
			p.write("images/a.jpg", noise(1, 60<<10))
			p.write("images/b.jpg", noise(2, 700<<10))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, box := newPractice(t)
			p.commit()
			packs := len(box.keys("r/p/"))
			c.do(p)
			p.nextDay()
			res := p.commit()
			if n := len(box.keys("r/p/")) - packs; n > 1 || res.New > 4<<10 || res.Stores[0].Bytes > 24<<10 {
				t.Errorf("%d new packs, %d new plain bytes, %d bytes stored; want the file table alone", n, res.New, res.Stores[0].Bytes)
			}
			p.once()
		})
	}
}

// TestScatteredPagesStoreOnlyTheirChunks: 1 % of a database's pages change.
func TestScatteredPagesStoreOnlyTheirChunks(t *testing.T) {
	p, _ := newPractice(t)
	const pages, size = 200, 16 << 10
	p.write("data/big.fs5", noise(7, pages*size))
	p.commit()
	for _, page := range []int64{3, 77, 150} {
		p.edit("data/big.fs5", page*size+1000, "a changed record")
	}
	p.nextDay()
	res := p.commit()
	if res.New > 4*size {
		t.Errorf("%d new bytes for 3 pages of %d", res.New, size)
	}
	p.once()
}

// TestAFileThatGrowsStoresItsEnd: a log of which only the end is new.
func TestAFileThatGrowsStoresItsEnd(t *testing.T) {
	p, _ := newPractice(t)
	var b strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&b, "%06d audit entry %d\n", i, i*i)
	}
	p.write("audit.log", b.String())
	p.commit()
	b.WriteString("one more\n")
	p.write("audit.log", b.String())
	p.nextDay()
	if res := p.commit(); res.New > 300<<10 {
		t.Errorf("%d new bytes for one more line in %d", res.New, b.Len())
	}
	p.once()
}

func TestTheSourceIsNeverWrittenTo(t *testing.T) {
	p, _ := newPractice(t)
	before := listing(t, p.source)
	p.commit()
	p.nextDay()
	p.change = func(c *uploader.Config) { c.ReadAll = true }
	p.commit()
	if after := listing(t, p.source); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

// listing shows everything that a file system tells of a folder, times of change included.
func listing(t *testing.T, root string) string {
	t.Helper()
	set, err := source.Scan(t.Context(), source.Options{Roots: []source.Root{{Path: root}}})
	check(t, err)
	var b strings.Builder
	for e := range set.Entries() {
		fmt.Fprintf(&b, "%s %v %d %d %d %d %o\n", e.Path, e.Type, e.Size, e.ModTime, e.ChangeTime, e.ID.Index, e.Mode)
	}
	return b.String()
}

// TestTheSameBytesInManyFilesAreStoredOnce: also when several readers meet them at once.
func TestTheSameBytesInManyFilesAreStoredOnce(t *testing.T) {
	p := newPC(t, t.TempDir())
	box := p.addMem("first")
	p.addMem("second")
	for i := range 60 {
		p.write(fmt.Sprintf("logo%d.jpg", i), noise(1, 100<<10))
		p.write(fmt.Sprintf("large%d.jpg", i), noise(2, 600<<10))
		p.write(fmt.Sprintf("empty%d.fs5", i), noise(3, 32<<10))
	}
	p.change = func(c *uploader.Config) { c.Workers = 4 }
	if res := p.commit(); res.New > 800<<10 || len(box.keys("r/p/")) != 3 {
		t.Errorf("%d new bytes in %d packs", res.New, len(box.keys("r/p/")))
	}
	p.once()
}

// TestASnapshotNamesOnlyWhatItNeeds: whatever a record names is kept as long as the
// snapshot, so what was replaced must not be named.
func TestASnapshotNamesOnlyWhatItNeeds(t *testing.T) {
	p := newPC(t, t.TempDir())
	p.addMem("first")
	p.write("scan.jpg", noise(1, 100<<10))
	p.write("data.fs5", noise(2, 64<<10))
	old := pinned(p.commit().Stores[0].Ref)
	p.write("scan.jpg", noise(3, 100<<10)) // of the same size
	p.write("data.fs5", noise(4, 64<<10))
	p.nextDay()
	ref := p.commit().Stores[0].Ref
	for _, key := range pinned(ref) {
		if slices.Contains(old, key) {
			t.Errorf("the new snapshot names %s, of which it needs nothing", key)
		}
	}
}

// TestANightWithoutTheImagesDoesNotSendThemAgain: a share was not there, what was
// left of the set was committed, and the night after all is well again.
func TestANightWithoutTheImagesDoesNotSendThemAgain(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	packs := box.keys("r/p/")
	away := filepath.Join(t.TempDir(), "images")
	for range 3 {
		check(t, os.Rename(p.path("images"), away))
		check(t, os.Rename(p.path("data"), away+"-data"))
		p.nextDay()
		p.commit()
		check(t, os.Rename(away, p.path("images")))
		check(t, os.Rename(away+"-data", p.path("data")))
		p.nextDay()
		if res := p.commit(); res.New != 0 {
			t.Errorf("%d bytes were sent again", res.New)
		}
	}
	if n := len(box.keys("r/p/")) - len(packs); n != 1 {
		t.Errorf("%d new packs, want that of the table of what was left", n)
	}
	p.once()
}

// TestANightWithoutTheImagesAfterAStoppedRun: they were on their way when the first
// run was stopped, and the set that was committed next did not have them.
func TestANightWithoutTheImagesAfterAStoppedRun(t *testing.T) {
	p, _ := crashed(t)
	away := filepath.Join(t.TempDir(), "images")
	check(t, os.Rename(p.path("images"), away))
	p.commit()
	check(t, os.Rename(away, p.path("images")))
	p.nextDay()
	if res := p.commit(); res.New != 0 {
		t.Errorf("%d bytes were sent again", res.New)
	}
	p.once()
	if info, err := os.Stat(filepath.Join(p.state, "journal")); err != nil || info.Size() != 0 {
		t.Errorf("the journal when all is committed: %v, %v", info, err)
	}
}

// TestChunksThatDieTogetherShareAPack: databases change every night, images never do.
func TestChunksThatDieTogetherShareAPack(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	packs, err := p.checker.Packs(t.Context(), box.mem)
	check(t, err)
	classes := make(map[pack.Class]int)
	for _, held := range packs {
		classes[held.Class]++
	}
	if len(packs) != 3 || len(classes) != 3 {
		t.Errorf("packs by class: %v", classes)
	}
}
