package practice_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"offsite/examples/practice"
)

const testSize = 32 << 20

// shared is one folder at day 0 that tests only read.
var shared struct {
	once    sync.Once
	dir     string
	reports []practice.Report
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

func sharedFolder(t testing.TB) (string, practice.Report) {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "practice"); shared.err == nil {
			shared.reports, shared.err = practice.Generate(context.Background(), practice.Options{Dir: shared.dir, Size: testSize, Seed: 7})
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.dir, shared.reports[0]
}

// state is everything that two folders must agree on: kind, time, size and content of every entry.
func state(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprint(d.IsDir(), info.ModTime().UTC())
		if !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(data), sha256.Sum256(data))
		}
		rel, err := filepath.Rel(dir, path)
		all[filepath.ToSlash(rel)] = line
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantSame(t testing.TB, got, want map[string]string) {
	t.Helper()
	bad := 0
	for path, w := range want {
		if g, ok := got[path]; (!ok || g != w) && bad < 5 {
			t.Errorf("%s: %q, want %q", path, g, w)
			bad++
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok && bad < 10 {
			t.Errorf("%s: should not be there", path)
			bad++
		}
	}
}

func generate(t testing.TB, o practice.Options) []practice.Report {
	t.Helper()
	reports, err := practice.Generate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return reports
}

func TestDayByDayEqualsReplay(t *testing.T) {
	for _, size := range []int64{practice.MinSize, 5 << 20, testSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			const days = 6
			slow := practice.Options{Dir: filepath.Join(t.TempDir(), "a b?#%41"), Size: size, Seed: 3, Workers: 1}
			generate(t, slow)
			for day := 1; day <= days; day++ {
				report, err := practice.Advance(t.Context(), slow)
				if err != nil {
					t.Fatal(err)
				}
				if report.Day != day || !report.Date.Equal(practice.Date(day)) || report.NewFiles == 0 {
					t.Errorf("report of day %d: day %d, date %v, %d new files", day, report.Day, report.Date, report.NewFiles)
				}
			}
			fast := practice.Options{Dir: filepath.Join(t.TempDir(), "databackup"), Size: size, Seed: 3, Day: days, Workers: 3}
			if n := len(generate(t, fast)); n != days+1 {
				t.Errorf("%d reports, want %d", n, days+1)
			}
			wantSame(t, state(t, fast.Dir), state(t, slow.Dir))
			if day, err := practice.Day(fast.Dir); day != days || err != nil {
				t.Errorf("folder stands at day %d, %v", day, err)
			}
		})
	}
}

func TestAnotherSeedIsAnotherPractice(t *testing.T) {
	t.Parallel()
	dir, _ := sharedFolder(t)
	other := practice.Options{Dir: t.TempDir(), Size: testSize, Seed: 8}
	generate(t, other)
	a, b := state(t, dir), state(t, other.Dir)
	for path, line := range a {
		if b[path] == line && strings.Contains(line, " ") && !strings.HasPrefix(line, "true") {
			t.Errorf("%s is the same under another seed", path)
		}
	}
}

func TestKilledDayIsDoneAgain(t *testing.T) {
	t.Parallel()
	whole := practice.Options{Dir: t.TempDir(), Size: testSize, Seed: 5, Day: 2}
	torn := practice.Options{Dir: t.TempDir(), Size: testSize, Seed: 5, Day: 1}
	generate(t, whole)
	generate(t, torn)
	// Half of day 2 arrived: every second file of the later folder stands in the earlier one, the closing table not.
	n := 0
	for path, line := range state(t, whole.Dir) {
		if strings.HasPrefix(line, "true") || strings.HasPrefix(path, "UNICONFIG6") {
			continue
		}
		if n++; n%2 == 0 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(whole.Dir, path))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(torn.Dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	at := practice.Evening(0)
	if err := practice.Touch(torn.Dir, at); err != nil {
		t.Fatal(err)
	}
	if _, err := practice.Advance(t.Context(), torn); err != nil {
		t.Fatal(err)
	}
	got, want := state(t, torn.Dir), state(t, whole.Dir)
	for path := range want { // the touch spoiled the times of old files; contents must agree
		cut := func(s string) string { return s[strings.LastIndex(s, "UTC"):] }
		if got[path] == "" || cut(got[path]) != cut(want[path]) {
			t.Errorf("%s: %q, want %q", path, got[path], want[path])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
}

func TestCancelledRunReturnsAndIsRefusedLater(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := practice.Options{Dir: t.TempDir(), Size: testSize, Seed: 5}
	if _, err := practice.Generate(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled run: %v", err)
	}
	if _, err := practice.Generate(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no finished day") {
		t.Errorf("half-made folder: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir, _ := sharedFolder(t)
	later := practice.Options{Dir: t.TempDir(), Size: practice.MinSize, Seed: 1, Day: 2}
	generate(t, later)
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letter.txt"), []byte("not ours"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]practice.Options{
		"no folder":      {Size: testSize},
		"too small":      {Dir: t.TempDir(), Size: practice.MinSize - 1},
		"day before 0":   {Dir: t.TempDir(), Size: testSize, Day: -1},
		"workers":        {Dir: t.TempDir(), Size: testSize, Workers: -1},
		"other seed":     {Dir: dir, Size: testSize, Seed: 8},
		"other size":     {Dir: dir, Size: testSize + 1, Seed: 7},
		"foreign folder": {Dir: foreign, Size: testSize},
		"earlier day":    {Dir: later.Dir, Size: practice.MinSize, Seed: 1, Day: 1},
	} {
		if _, err := practice.Generate(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := practice.Advance(t.Context(), practice.Options{Dir: t.TempDir(), Size: testSize}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("advance from nothing: %v", err)
	}
}

func TestOneDayChangesWhatItReports(t *testing.T) {
	t.Parallel()
	o := practice.Options{Dir: t.TempDir(), Size: 2 * testSize, Seed: 11}
	generate(t, o)
	before := state(t, o.Dir)
	report, err := practice.Advance(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	after := state(t, o.Dir)
	changed := map[string]practice.Change{}
	for _, c := range report.Changes {
		changed[c.Path] = c
	}
	evening := practice.Evening(1)
	for path, line := range after {
		old, was := before[path]
		c, listed := changed[path]
		isDir := strings.HasPrefix(line, "true")
		switch {
		case isDir:
		case !was && !(listed && c.New):
			t.Errorf("%s is new and not reported so", path)
		case was && c.New:
			t.Errorf("%s is reported as new", path)
		case was && strings.HasPrefix(path, "patients/") && old != line:
			t.Errorf("%s: a write-once file changed", path)
		case was && !strings.HasPrefix(path, "patients/") && !strings.Contains(line, evening.String()):
			t.Errorf("%s: %q, want the evening %v", path, line, evening)
		}
	}
	pages := int64(2 * testSize / 4 / practice.PageSize)
	if n := report.ChangedPages; n < pages*8/1000 || n > pages*20/1000 {
		t.Errorf("%d pages changed of about %d", n, pages)
	}
	ideal, err := practice.Ideal(t.Context(), o.Dir, report)
	if err != nil {
		t.Fatal(err)
	}
	if ideal.Files > report.NewBytes || ideal.Files < report.NewBytes/2 || ideal.Pages > report.PageBytes*2/3 || ideal.Pages < report.PageBytes/4 ||
		ideal.Log == 0 || ideal.Total() != ideal.Files+ideal.Pages+ideal.Log {
		t.Errorf("ideal %+v of %d and %d bytes", ideal, report.NewBytes, report.PageBytes)
	}
}

func TestDaysGrowTheFolderAsAssumed(t *testing.T) {
	t.Parallel()
	const days = 15
	var files, changed, appended int64
	for _, r := range generate(t, practice.Options{Dir: t.TempDir(), Size: testSize, Seed: 4, Day: days})[1:] {
		files += r.NewBytes
		changed += r.ChangedPages
		appended += r.AppendedPages
	}
	pages := int64(testSize / 4 / practice.PageSize)
	for _, c := range []struct {
		what             string
		got, least, most int64
	}{
		{"new bytes", files, testSize * 9 / 1000 * days, testSize * 15 / 1000 * days},
		{"changed pages", changed, pages * 8 / 1000 * days, pages * 22 / 1000 * days}, // with the SQLite file's, which are half as large
		{"added pages", appended, pages * 1 / 2000 * days, pages * 4 / 1000 * days},
	} {
		if c.got < c.least || c.got > c.most {
			t.Errorf("%s in %d days: %d, want %d to %d", c.what, days, c.got, c.least, c.most)
		}
	}
}

func TestPagesChangedAreThePagesReported(t *testing.T) {
	t.Parallel()
	o := practice.Options{Dir: t.TempDir(), Size: testSize, Seed: 12, Day: 3}
	generate(t, o)
	read := func() map[string][]byte {
		all := map[string][]byte{}
		names, err := filepath.Glob(filepath.Join(o.Dir, "*.FS5"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(names, filepath.Join(o.Dir, "imaging", "catalogue.db")) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(o.Dir, name)
			all[filepath.ToSlash(rel)] = data
		}
		return all
	}
	before := read()
	report, err := practice.Advance(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	reported := map[string]practice.Change{}
	for _, c := range report.Changes {
		reported[c.Path] = c
	}
	for path, data := range read() {
		old, c := before[path], reported[path]
		size := practice.PageSize
		if c.PageSize > 0 {
			size = c.PageSize
		}
		var pages []int64
		for at := 0; at < len(old); at += size {
			if string(old[at:at+size]) != string(data[at:at+size]) {
				pages = append(pages, int64(at/size))
			}
		}
		if fmt.Sprint(pages) != fmt.Sprint(c.Pages) || int64(len(data)-len(old)) != c.Appended {
			t.Errorf("%s: pages %v and %d bytes more; reported %v and %d", path, pages, len(data)-len(old), c.Pages, c.Appended)
		}
		if !strings.HasSuffix(path, ".FS5") {
			continue
		}
		for at := 0; at < len(data); at += size {
			if err := practice.CheckPage(data[at:at+size], int64(at/size)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if day := binary.LittleEndian.Uint64(data[at+16:]) >> 32; day > 4 {
				t.Errorf("%s: page %d carries day %d", path, at/size, day)
			}
		}
	}
}

func TestTouchChangesTimesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate(t, practice.Options{Dir: dir, Size: practice.MinSize, Seed: 1})
	before := state(t, dir)
	at := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := practice.Touch(dir, at); err != nil {
		t.Fatal(err)
	}
	for path, line := range state(t, dir) {
		old := before[path]
		if strings.HasPrefix(line, "true") {
			if line != old {
				t.Errorf("folder %s: %q, was %q", path, line, old)
			}
			continue
		}
		if !strings.Contains(line, at.String()) || line[strings.Index(line, "UTC"):] != old[strings.Index(old, "UTC"):] {
			t.Errorf("%s: %q, was %q", path, line, old)
		}
	}
}

func TestDaysAreBusinessDays(t *testing.T) {
	t.Parallel()
	if w := practice.Date(0).Weekday(); w != time.Monday {
		t.Errorf("day 0 is a %v", w)
	}
	for day := 1; day < 300; day++ {
		d := practice.Date(day)
		if w := d.Weekday(); w == time.Saturday || w == time.Sunday || !d.After(practice.Date(day-1)) {
			t.Errorf("day %d is %v", day, d)
		}
	}
}

// BenchmarkGenerate writes 256 MiB; the limit is mostly the file system's.
func BenchmarkGenerate(b *testing.B) {
	const size = 256 << 20
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		b.StartTimer()
		if _, err := practice.Generate(b.Context(), practice.Options{Dir: dir, Size: size, Seed: 1}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func TestCompareNamesTheFirstDifference(t *testing.T) {
	at := time.Date(2026, 1, 5, 20, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		change func(dir string) error
		want   string // in the error; empty: none
	}{
		{"the same", func(string) error { return nil }, ""},
		{"an empty folder more", func(dir string) error { return os.Mkdir(filepath.Join(dir, "more"), 0o700) }, ""},
		{"a file more", func(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600) }, "2 files and 3 files"},
		{"a file less", func(dir string) error { return os.Remove(filepath.Join(dir, "a")) }, "compare folders: open "},
		{"another byte", func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "sub", "b"), []byte("twO"), 0o600), os.Chtimes(filepath.Join(dir, "sub", "b"), at, at))
		}, "b differ"},
		{"another length", func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "a"), []byte("one!"), 0o600), os.Chtimes(filepath.Join(dir, "a"), at, at))
		}, "differ in length"},
		{"another time", func(dir string) error { return os.Chtimes(filepath.Join(dir, "a"), at, at.Add(time.Second)) }, "different times"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, got := t.TempDir(), t.TempDir()
			for _, dir := range []string{want, got} {
				for name, text := range map[string]string{"a": "one", "sub/b": "two"} {
					file := filepath.Join(dir, filepath.FromSlash(name))
					err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, at, at))
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := c.change(got); err != nil {
				t.Fatal(err)
			}
			err := practice.Compare(want, got)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
