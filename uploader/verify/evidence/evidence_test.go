package evidence_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"offsite/uploader/verify/evidence"
)

// The lines are made up: no public sample of a real one exists.
const (
	good = `20/11/2026 18:45:10 FRONTDESK1 JANE backup to D:\DataBkup\databackup completed, 1,204 files`
	bad  = `19/11/2026 18:45 FRONTDESK1 TOM backup to D:\DataBkup\databackup FAILED: error 112`
)

func samples() evidence.Samples {
	return evidence.Samples{Good: []string{good}, Bad: []string{bad}, Computer: "FRONTDESK1", Location: `D:\DataBkup\databackup`, Varying: []string{"JANE", "TOM"}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read writes a log that was closed long ago, and reads it.
func read(t *testing.T, s evidence.Spec, log string) evidence.Result {
	t.Helper()
	return readAged(t, s, log, time.Hour)
}

func readAged(t *testing.T, s evidence.Spec, log string, age time.Duration) evidence.Result {
	t.Helper()
	s.Log = filepath.Join(t.TempDir(), "backup.log")
	must(t, os.WriteFile(s.Log, []byte(log), 0o600))
	written := time.Date(2026, 11, 20, 19, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(s.Log, written, written))
	res, err := s.Read(written.Add(age), time.UTC)
	must(t, err)
	return res
}

func TestLearnFindsWhatDiffersFromDayToDay(t *testing.T) {
	t.Parallel()
	s, err := evidence.Learn(samples())
	must(t, err)
	if s.Order != evidence.DMY {
		t.Errorf("order %q", s.Order)
	}
	want := "{date} {time} {computer} {any} backup to {location} completed, {number} files"
	if got := s.Good[0].String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []struct {
		name, log string
		want      evidence.Outcome
		at        string
	}{
		{"the samples", bad + "\n" + good + "\n", evidence.Succeeded, "2026-11-20 18:45:10"},
		{"another day and count", "03/02/2027 07:05 frontdesk1 ANN backup to D:\\DATABKUP\\databackup completed, 9 files\r\n", evidence.Succeeded, "2027-02-03 07:05:00"},
		{"a failure after a success", good + "\n" + strings.Replace(bad, "19/11", "21/11", 1) + "\n", evidence.Failed, "2026-11-21 18:45:00"},
		{"a failure at the same minute", strings.Replace(good, ":10 ", " ", 1) + "\n" + strings.Replace(bad, "19/11", "20/11", 1) + "\n", evidence.Failed, "2026-11-20 18:45:00"},
		{"another computer", strings.Replace(good, "FRONTDESK1", "FRONTDESK2", 1) + "\n", evidence.Nothing, ""},
		{"another place", strings.Replace(good, `D:\DataBkup`, `E:\Other`, 1) + "\n", evidence.Nothing, ""},
		{"a place above", strings.Replace(good, `\databackup`, ``, 1) + "\n", evidence.Succeeded, "2026-11-20 18:45:10"},
		{"a line that only begins so", good + " but not really\n", evidence.Nothing, ""},
		{"a date that is none", strings.Replace(good, "20/11/2026", "31/02/2026", 1) + "\n", evidence.Nothing, ""},
		{"nothing", "", evidence.Nothing, ""},
		{"bytes that are no text", string([]byte{0xff, 0, 0xfe, 0x81, 10}), evidence.Nothing, ""},
	} {
		res := read(t, s, c.log)
		if res.Outcome != c.want || c.at != "" && res.When.Format(time.DateTime) != c.at {
			t.Errorf("%s: %v at %v, want %v at %s", c.name, res.Outcome, res.When, c.want, c.at)
		}
	}
}

func TestLearnRefusesWhatProvesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		good, bad string
		order     evidence.Order
		want      string
	}{
		{"no bad line", good, "", "", "at least one"},
		{"no date", "backup completed", bad, "", "{date}"},
		{"the same line", good, strings.Replace(good, "20/11", "19/11", 1), "", "both"},
		{"a date that reads both ways", "05/06/2026 18:00 well", "06/05/2026 18:00 ill", "", "both ways"},
		{"braces", "20/11/2026 18:00 {well}", bad, "", "braces"},
	} {
		s := evidence.Samples{Order: c.order}
		for text, into := range map[string]*[]string{c.good: &s.Good, c.bad: &s.Bad} {
			if text != "" {
				*into = append(*into, text)
			}
		}
		if _, err := evidence.Learn(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %q", c.name, err, c.want)
		}
	}
}

func TestDatesOfManyCountriesAreRead(t *testing.T) {
	t.Parallel()
	for text, order := range map[string]evidence.Order{
		"20/11/2026 18:45": evidence.DMY, "11/20/2026 6:45 PM": evidence.MDY, "2026-11-20 18:45:00": evidence.YMD, "20.11.2026 18.45": evidence.DMY,
		"20-11-26 18:45": evidence.DMY, "20 Nov 2026 18:45": evidence.DMY, "Nov 20, 2026 6:45 p.m.": evidence.MDY, "20 november 2026 18:45": evidence.DMY,
	} {
		s, err := evidence.Learn(evidence.Samples{Good: []string{text + " well"}, Bad: []string{text + " ill"}, Order: order})
		must(t, err)
		if res := read(t, s, text+" well\n"); res.When.Format("2006-01-02 15:04") != "2026-11-20 18:45" {
			t.Errorf("%s: read as %v", text, res.When)
		}
	}
}

func TestLogsAreReadInEveryEncoding(t *testing.T) {
	t.Parallel()
	line := strings.Replace(good, "JANE", "Zoë", 1)
	s := samples()
	s.Good = []string{line}
	s.Varying = nil
	spec, err := evidence.Learn(s)
	must(t, err)
	wide := func(mark string, low, high int) string {
		b := []byte(mark)
		for _, u := range utf16.Encode([]rune(line + "\r\n")) {
			two := [2]byte{}
			two[low], two[high] = byte(u), byte(u>>8)
			b = append(b, two[:]...)
		}
		return string(b)
	}
	for name, log := range map[string]string{
		"UTF-8": line + "\n", "UTF-8 with a mark": "\ufeff" + line + "\n", "UTF-16": wide("\xff\xfe", 0, 1), "UTF-16 big end": wide("\xfe\xff", 1, 0),
		"UTF-16 without a mark": wide("", 0, 1), "code page": strings.Replace(line, "ë", "\xeb", 1) + "\r\n",
	} {
		if res := read(t, spec, log); res.Outcome != evidence.Succeeded {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestALineThatMayStillGrowDoesNotCount(t *testing.T) {
	t.Parallel()
	s, err := evidence.Learn(samples())
	must(t, err)
	if res := readAged(t, s, bad+"\n"+good, time.Second); res.Outcome != evidence.Failed {
		t.Errorf("a second after it was written: %v", res.Outcome)
	}
	if res := readAged(t, s, bad+"\n"+good, 2*time.Minute); res.Outcome != evidence.Succeeded {
		t.Errorf("two minutes after: %v", res.Outcome)
	}
}

func TestARotatedLogIsRead(t *testing.T) {
	t.Parallel()
	s, err := evidence.Learn(samples())
	must(t, err)
	dir := t.TempDir()
	s.Log = filepath.Join(dir, "backup.log")
	must(t, os.WriteFile(s.Log, nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "backup.log.1"), []byte(good+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "other.log"), []byte(strings.Replace(bad, "19/11", "25/11", 1)+"\n"), 0o600))
	res, err := s.Read(time.Now(), time.UTC)
	must(t, err)
	if res.Outcome != evidence.Succeeded {
		t.Errorf("got %v", res.Outcome)
	}
	s.Log = filepath.Join(dir, "gone", "backup.log")
	if _, err := s.Read(time.Now(), time.UTC); !errors.Is(err, evidence.ErrUnreadable) || strings.Contains(err.Error(), dir) {
		t.Errorf("a log that is not there: %v", err)
	}
	if _, err := (evidence.Spec{}).Read(time.Now(), time.UTC); !errors.Is(err, evidence.ErrUnset) {
		t.Errorf("no log: %v", err)
	}
}

func TestRobocopyIsJudgedByItsNumbers(t *testing.T) {
	t.Parallel()
	table := func(skipped, failed string) string {
		return "\r\n               Total    Copied   Skipped  Mismatch    FAILED    Extras\r\n" +
			"    Dirs :        41         1        40         0         0         0\r\n" +
			"   Files :      1200        30      " + skipped + "         0         " + failed + "         0\r\n" +
			"   Bytes :   92.10 m    1.23 m   90.87 m         0         0         0\r\n" +
			"   Times :   0:00:12   0:00:03                       0:00:00   0:00:09\r\n"
	}
	japanese := "\r\n                  合計     コピー済み      スキップ       不一致        失敗    Extras\r\n" +
		"   ディレクトリ:         2         1         1         0         0         0\r\n" +
		"       ファイル:         3         2         0         0         1         0\r\n" +
		"         バイト:     1.2 k     1.2 k         0         0         0         0\r\n"
	listing := strings.Repeat("\t    New File  \t\t   12345\tname : 1 2 3 4 5 6\r\n", 40)
	for _, c := range []struct {
		name, log, code string
		want            evidence.Outcome
	}{
		{"all copied", listing + table("1170", "0"), "", evidence.Succeeded},
		{"one failed", listing + table("1169", "1"), "", evidence.Failed},
		{"one failed, in Japanese", japanese, "", evidence.Failed},
		{"ended before its table", listing, "", evidence.Nothing},
		{"another run has begun", table("1170", "0") + listing, "", evidence.Nothing},
		{"a good run after a bad one", table("1163", "7") + listing + table("1170", "0"), "", evidence.Succeeded},
		{"exit code 3", listing + table("1170", "0"), "3 \r\n", evidence.Succeeded},
		{"exit code 8", listing + table("1170", "0"), "8\r\n", evidence.Failed},
		{"exit code 16 and no table", "", "16", evidence.Failed},
	} {
		s := evidence.Spec{Kind: evidence.Robocopy}
		if c.code != "" {
			s.Code = filepath.Join(t.TempDir(), "code")
			must(t, os.WriteFile(s.Code, []byte(c.code), 0o600))
		}
		if res := read(t, s, c.log); res.Outcome != c.want {
			t.Errorf("%s: %v, want %v", c.name, res.Outcome, c.want)
		}
	}
}

func FuzzReadLog(f *testing.F) {
	s, err := evidence.Learn(samples())
	must(f, err)
	f.Add([]byte(good + "\n" + bad))
	f.Add([]byte("\xff\xfe2\x000\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []evidence.Kind{evidence.Lines, evidence.Robocopy} {
			s.Kind = kind
			s.Log = filepath.Join(t.TempDir(), "log")
			must(t, os.WriteFile(s.Log, b, 0o600))
			if _, err := s.Read(time.Now(), time.UTC); err != nil {
				t.Error(err)
			}
		}
	})
}
