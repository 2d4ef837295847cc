package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// tree makes files; "name=N" has N bytes, "name -> target" is a link, a name
// with a slash at the end is a folder.
func tree(tb testing.TB, names ...string) string {
	tb.Helper()
	root := tb.TempDir()
	for _, name := range names {
		n := 1
		name, target, link := strings.Cut(name, " -> ")
		if at := strings.LastIndexByte(name, '='); at > 0 {
			fmt.Sscan(name[at+1:], &n)
			name = name[:at]
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			must(tb, os.MkdirAll(path, 0o755))
		case link:
			must(tb, os.Symlink(target, path))
		default:
			must(tb, os.WriteFile(path, make([]byte, n), 0o644))
		}
	}
	return root
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func builtin(tb testing.TB, name string) verify.Profile {
	tb.Helper()
	p, err := verify.Builtin(name)
	must(tb, err)
	return p
}

func scan(tb testing.TB, p verify.Profile, roots ...string) source.Set {
	tb.Helper()
	opt := source.Options{Exclude: p.Exclude()}
	for i, r := range roots {
		opt.Roots = append(opt.Roots, source.Root{Name: fmt.Sprintf("part%d", i), Path: r})
	}
	set, err := source.Scan(context.Background(), opt)
	must(tb, err)
	return set
}

// later is a clock by which everything was written long ago.
func later() time.Time { return time.Now().Add(2 * time.Hour) }

func checks(r verify.Report) []string {
	var list []string
	for _, f := range r.Findings() {
		list = append(list, f.Level.String()+" "+f.Check)
	}
	return list
}

func TestJudgeKnowsPracticeSystems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, profile string
		files         []string
		verdict       verify.Verdict
		findings      []string
	}{
		{"generic, one file", "generic", []string{"a"}, verify.Clean, nil},
		{"generic, folders alone", "generic", []string{"a/b/"}, verify.Incomplete, []string{"incomplete content"}},
		{"generic, empty files alone", "generic", []string{"a=0", "b=0"}, verify.Incomplete, []string{"incomplete content"}},
		{"generic, with a link", "generic", []string{"a", "l -> a"}, verify.Clean, []string{"warning links"}},
		{"exact, whole", "exact", []string{"UNICONFIG6.FS5", "PATIENT.FS5", "Xrays/1/a.img"}, verify.Clean, nil},
		{"exact, whole, in small letters", "exact", []string{"uniconfig6.fs5", "images/a"}, verify.Clean, nil},
		{"exact, one folder down", "exact", []string{"data/UNICONFIG6.FS5", "data/x.jpg"}, verify.Clean, nil},
		{"exact, the file lies too deep to be the dataset's", "exact", []string{"old/2019/UNICONFIG6.FS5", "images/a"}, verify.Incomplete, []string{"incomplete required:dataset"}},
		{"exact, the file is empty", "exact", []string{"UNICONFIG6.FS5=0", "images/a"}, verify.Incomplete, []string{"incomplete required:dataset"}},
		{"exact, a folder of that name", "exact", []string{"UNICONFIG6.FS5/", "images/a"}, verify.Incomplete, []string{"incomplete required:dataset"}},
		{"exact, a link of that name", "exact", []string{"UNICONFIG6.FS5 -> images/a", "images/a"}, verify.Incomplete, []string{"incomplete required:dataset", "warning links"}},
		{"exact, no sub-directories", "exact", []string{"UNICONFIG6.FS5", "PATIENT.FS5"}, verify.Clean, []string{"warning optional:sub-directories"}},
		{"macpractice, whole", "macpractice", []string{"Backup 2026-11-20.mpb=70000"}, verify.Clean, nil},
		{"macpractice, torn off", "macpractice", []string{"Backup 2026-11-20.mpb=700"}, verify.Incomplete, []string{"incomplete required:backup-file"}},
		{"opendental, whole", "opendental", []string{"opendental/patient.MYD", "opendental/patient.MYI", "OpenDentImages/S/SmithJane1/a.jpg"}, verify.Clean, nil},
		{"opendental, yesterday's copy alone", "opendental", []string{"opendentalbackup_1/patient.MYD", "opendentalbackup_1/patient.MYI", "A/x.jpg"}, verify.Incomplete, []string{"incomplete required:table-data", "incomplete required:table-indexes", "suspect optional:patient-table"}},
		{"opendental, stopped early", "opendental", []string{"opendental/account.MYD", "opendental/account.MYI"}, verify.Suspect, []string{"suspect optional:patient-table", "warning optional:images"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := builtin(t, c.profile)
			passed, report := verify.Judge(context.Background(), scan(t, p, tree(t, c.files...)), p, verify.Options{Now: later})
			if report.Verdict() != c.verdict || !slices.Equal(checks(report), c.findings) {
				t.Errorf("%v %q, want %v %q", report.Verdict(), checks(report), c.verdict, c.findings)
			}
			if passed.Valid() != (c.verdict != verify.Incomplete) {
				t.Errorf("passed is valid: %v with verdict %v", passed.Valid(), c.verdict)
			}
			if passed.Valid() && (passed.Verdict() != c.verdict || !passed.Set().Valid()) {
				t.Errorf("passed says %v", passed.Verdict())
			}
			for _, f := range report.Findings() {
				if f.Measured == "" || f.Limit == "" || f.Remedy == "" {
					t.Errorf("a finding leaves something open: %+v", f)
				}
			}
		})
	}
}

func TestJudgeLooksForRulesInEveryRoot(t *testing.T) {
	t.Parallel()
	p := builtin(t, "exact")
	set := scan(t, p, tree(t, "images/a"), tree(t, "UNICONFIG6.FS5"))
	if _, report := verify.Judge(context.Background(), set, p, verify.Options{Now: later}); report.Verdict() != verify.Clean {
		t.Errorf("got %q", checks(report))
	}
}

func TestJudgeComparesWithTheLimitsOfAProfile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		verdict    verify.Verdict
		findings   []string
	}{
		{"enough", "min_files: 3\nmin_bytes: 111\n", verify.Clean, nil},
		{"too few", "min_files: 4\n", verify.Suspect, []string{"suspect min-files"}},
		{"too little", "min_bytes: 1 KiB\n", verify.Suspect, []string{"suspect min-bytes"}},
		{"two of ten bytes or more", "required:\n- {id: r, match: [\"*\"], min_count: 2, min_size: 10}\n", verify.Clean, nil},
		{"three of ten bytes or more", "required:\n- {id: r, match: [\"*\"], min_count: 3, min_size: 10}\n", verify.Incomplete, []string{"incomplete required:r"}},
		{"any of two patterns", "required:\n- {id: r, match: [nothing, \"/sub/*\"]}\n", verify.Clean, nil},
		{"a folder", "required:\n- {id: r, match: [SUB/]}\n", verify.Clean, nil},
		{"a folder's name without its slash", "required:\n- {id: r, match: [sub]}\n", verify.Incomplete, []string{"incomplete required:r"}},
		{"case counts", "required:\n- {id: r, match: [A], match_case: true}\n", verify.Incomplete, []string{"incomplete required:r"}},
		{"optional", "optional:\n- {id: r, match: [x]}\n", verify.Clean, []string{"warning optional:r"}},
		{"optional, suspect", "optional:\n- {id: r, match: [x], level: suspect}\n", verify.Suspect, []string{"suspect optional:r"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := verify.ParseProfile([]byte("name: test\n" + c.text))
			must(t, err)
			_, report := verify.Judge(context.Background(), scan(t, p, tree(t, "a=1", "b=10", "sub/c=100")), p, verify.Options{})
			if report.Verdict() != c.verdict || !slices.Equal(checks(report), c.findings) {
				t.Errorf("%v %q, want %v %q", report.Verdict(), checks(report), c.verdict, c.findings)
			}
		})
	}
}

func TestJudgeLooksAtTheClock(t *testing.T) {
	t.Parallel()
	p := builtin(t, "generic")
	for _, c := range []struct {
		name     string
		now      func() time.Time
		findings []string
	}{
		{"long ago", later, nil},
		{"just now", time.Now, []string{"warning settled"}},
		{"no clock", nil, nil},
		{"in the future", func() time.Time { return time.Now().Add(-48 * time.Hour) }, []string{"warning settled", "warning clock"}},
	} {
		_, report := verify.Judge(context.Background(), scan(t, p, tree(t, "a")), p, verify.Options{Now: c.now})
		if report.Verdict() != verify.Clean || !slices.Equal(checks(report), c.findings) {
			t.Errorf("%s: %v %q", c.name, report.Verdict(), checks(report))
		}
	}
}

func TestJudgeTakesTheQuietPeriodInForce(t *testing.T) {
	t.Parallel()
	p := builtin(t, "generic")
	set := scan(t, p, tree(t, "a"))
	after := func(d time.Duration) func() time.Time { return func() time.Time { return set.Newest().Add(d) } }
	warned := []string{"warning settled"}
	for _, c := range []struct {
		name     string
		opt      verify.Options
		findings []string
	}{
		{"the profile's", verify.Options{Now: after(p.Quiet() - time.Second)}, warned},
		{"a shorter one, over", verify.Options{Now: after(2 * time.Minute), Quiet: time.Minute}, nil},
		{"a shorter one, not over", verify.Options{Now: after(50 * time.Second), Quiet: time.Minute}, warned},
		{"a longer one", verify.Options{Now: after(2 * p.Quiet()), Quiet: 3 * p.Quiet()}, warned},
		{"none, for the backup has finished", verify.Options{Now: after(0), Finished: true}, nil},
	} {
		if _, report := verify.Judge(context.Background(), set, p, c.opt); !slices.Equal(checks(report), c.findings) {
			t.Errorf("%s: %q, want %q", c.name, checks(report), c.findings)
		}
	}
}

func TestJudgeTrustsASetThatWasWaitedFor(t *testing.T) {
	t.Parallel()
	p, err := verify.ParseProfile([]byte("name: quick\nquiet: 5ms\n"))
	must(t, err)
	set, err := source.Wait(context.Background(), source.WaitOptions{
		Layout: source.Layout{Scan: source.Options{Roots: []source.Root{{Path: tree(t, "a")}}}},
		Quiet:  p.Quiet(), Now: time.Now,
	})
	must(t, err)
	// By a clock of the past, the newest change alone would look too fresh.
	_, report := verify.Judge(context.Background(), set, p, verify.Options{Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	if len(report.Findings()) != 0 {
		t.Errorf("got %q", checks(report))
	}
}

func TestJudgeNeedsASetAndAProfileAndTime(t *testing.T) {
	t.Parallel()
	p := builtin(t, "generic")
	ctx := context.Background()
	passed, report := verify.Judge(ctx, source.Set{}, p, verify.Options{})
	if passed.Valid() || report.Verdict() != verify.Incomplete {
		t.Error("the zero set passed")
	}
	passed, report = verify.Judge(ctx, scan(t, p, tree(t, "a")), verify.Profile{}, verify.Options{})
	if passed.Valid() || report.Verdict() != verify.Incomplete {
		t.Error("the zero profile passed")
	}
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("%04d", i))
	}
	set := scan(t, p, tree(t, names...))
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if passed, report = verify.Judge(stopped, set, p, verify.Options{}); passed.Valid() || checks(report)[0] != "incomplete stopped" {
		t.Errorf("stopped: %q", checks(report))
	}
	if (verify.Passed{}).Valid() || (verify.Report{}).Verdict() != verify.Incomplete {
		t.Error("a zero value passed")
	}
}

func TestReportOnlyGetsWorse(t *testing.T) {
	t.Parallel()
	p := builtin(t, "generic")
	passed, _ := verify.Judge(context.Background(), scan(t, p, tree(t, "a")), p, verify.Options{Now: later})
	for _, c := range []struct {
		name string
		add  func(*verify.Report)
		want verify.Verdict
	}{
		{"nothing", func(r *verify.Report) { r.AddUnreadable(0); r.AddChanged(0); r.AddChanged(-1) }, verify.Clean},
		{"a warning", func(r *verify.Report) { r.Add(verify.Finding{Check: "x"}) }, verify.Clean},
		{"suspect", func(r *verify.Report) { r.Add(verify.Finding{Check: "x", Level: verify.LevelSuspect}) }, verify.Suspect},
		{"unreadable", func(r *verify.Report) { r.AddUnreadable(3) }, verify.Incomplete},
		{"changed", func(r *verify.Report) { r.AddChanged(1) }, verify.Incomplete},
		{"an unknown level", func(r *verify.Report) { r.Add(verify.Finding{Level: 9}) }, verify.Incomplete},
		{"worst first, then better", func(r *verify.Report) {
			r.AddUnreadable(1)
			r.Add(verify.Finding{Check: "x", Level: verify.LevelSuspect})
			r.Add(verify.Finding{Check: "y"})
		}, verify.Incomplete},
	} {
		report := passed.Report()
		c.add(&report)
		if report.Verdict() != c.want {
			t.Errorf("%s: %v, want %v", c.name, report.Verdict(), c.want)
		}
		if passed.Verdict() != verify.Clean || len(passed.Report().Findings()) != 0 {
			t.Errorf("%s: adding to a copy changed what passed", c.name)
		}
	}
}

func TestNoFileNameLeavesTheConsole(t *testing.T) {
	t.Parallel()
	p, err := verify.ParseProfile([]byte(`
name: test
required:
- {id: chart, match: ["/Doe Jane chart.db"], help: "Doe Jane must be there"}
optional:
- {id: letters, match: ["Doe Jane*.odt"], level: suspect}
`))
	must(t, err)
	set := scan(t, p, tree(t, "Doe Jane/x-ray", "Doe Jane/link -> /home/doe jane", "Doe Jane chart.db=0"))
	_, report := verify.Judge(context.Background(), set, p, verify.Options{Now: time.Now})
	report.AddUnreadable(2)
	report.AddDetail("cannot read Doe Jane/x-ray")
	out, err := json.Marshal(report)
	must(t, err)
	if strings.Contains(strings.ToLower(string(out)), "doe") {
		t.Errorf("the report names a file: %s", out)
	}
	if text := strings.Join(report.Console(), "\n"); strings.Count(text, "Doe Jane") < 3 {
		t.Errorf("the console does not name the files: %s", text)
	}
	var back struct {
		Verdict  verify.Verdict
		Findings []verify.Finding
		Links    int
	}
	must(t, json.Unmarshal(out, &back))
	if back.Verdict != verify.Incomplete || !slices.Equal(back.Findings, report.Findings()) || back.Links != 1 {
		t.Errorf("read back %+v", back)
	}
}

func TestWordsOfVerdictsAndLevels(t *testing.T) {
	t.Parallel()
	for _, v := range []verify.Verdict{verify.Incomplete, verify.Suspect, verify.Clean} {
		text, err := v.MarshalText()
		must(t, err)
		back := verify.Verdict(9)
		if err := back.UnmarshalText(text); err != nil || back != v {
			t.Errorf("%s: %v, %v", text, back, err)
		}
	}
	var v verify.Verdict
	var l verify.Level
	if v.UnmarshalText([]byte("good")) == nil || l.UnmarshalText([]byte("good")) == nil {
		t.Error("read a word that is none")
	}
	if _, err := verify.Verdict(9).MarshalText(); err == nil {
		t.Error("wrote a verdict that is none")
	}
}

func BenchmarkJudge(b *testing.B) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("folder %02d/some file %05d.fs5", i/250, i))
	}
	p := builtin(b, "exact")
	set := scan(b, p, tree(b, names...))
	for b.Loop() {
		verify.Judge(context.Background(), set, p, verify.Options{Now: later})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(set.Len()), "ns/entry")
}

func TestWhatFindingTheSetBroughtUpIsJudgedWithIt(t *testing.T) {
	t.Parallel()
	root := tree(t, "pc0/a", "2026-11-19/a", "2031-01-01/a")
	now := time.Date(2026, 11, 20, 20, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		layout source.Layout
		want   string
	}{
		{source.Layout{Kind: source.Computers, Scan: source.Options{Roots: []source.Root{{Path: filepath.Join(root, "pc0")}, {Path: filepath.Join(root, "pc1")}}}}, "warning computers"},
		{source.Layout{Kind: source.Dated, Scan: source.Options{Roots: []source.Root{{Path: root}}}, Now: func() time.Time { return now }}, "warning dated-ahead"},
	} {
		set, err := c.layout.Newest(t.Context())
		must(t, err)
		passed, _ := verify.Judge(t.Context(), set, builtin(t, "generic"), verify.Options{})
		if got := checks(passed.Report()); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: %q, want %q", c.layout.Kind, got, c.want)
		}
	}
}
