package sheet_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"

	"offsite/manifest/seal"
	"offsite/manifest/seal/sheet"
)

var update = flag.Bool("update", false, "write the golden sheets again")

func example(t *testing.T) sheet.Sheet {
	t.Helper()
	text, err := os.ReadFile("../testdata/v1/restore.key")
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParseRestoreKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return sheet.Sheet{
		Practice:   "Praxis Dr. Müller & Söhne <Łódź>",
		Repository: "0123456789abcdef",
		Date:       "2026-11-22",
		Owner:      key.Owner().Public(),
		Holders: []sheet.Holder{
			{ID: "1a2b3c4d", Kind: seal.KindPassphrase, Label: "practice owner"},
			{ID: "5e6f7a8b", Kind: seal.KindAge, Label: "IT provider"},
		},
		Stores: []string{"s3://practice-backup/eu", `dir:\\nas\offsite`},
		Key:    key,
	}
}

func written(t *testing.T, s sheet.Sheet) (html, text string) {
	t.Helper()
	var h, x bytes.Buffer
	if err := s.HTML(&h); err != nil {
		t.Fatal(err)
	}
	if err := s.Text(&x); err != nil {
		t.Fatal(err)
	}
	return h.String(), x.String()
}

func TestSheetsLookAsAgreed(t *testing.T) {
	html, text := written(t, example(t))
	for name, got := range map[string]string{"sheet.html": html, "sheet.txt": text} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs; look at it, then run with -update", name)
		}
	}
}

func TestPageFetchesAndRunsNothing(t *testing.T) {
	html, _ := written(t, example(t))
	for _, bad := range []string{"<script", "src=", "href=", "url(", "@import", "http://", "https://", "javascript:", " on"} {
		re := regexp.QuoteMeta(bad)
		if bad == " on" { // an attribute like onload=
			re = `<[^>]* on[a-z]+=`
		}
		if regexp.MustCompile(`(?i)` + re).MatchString(html) {
			t.Errorf("page contains %q", bad)
		}
	}
	if strings.Contains(html, "<Łódź>") || !strings.Contains(html, "&lt;Łódź&gt;") {
		t.Error("label is not escaped")
	}
}

func TestSheetHoldsTheRestoreKeyAndNoOtherSecret(t *testing.T) {
	s := example(t)
	html, text := written(t, s)
	_, seed, _ := strings.Cut(string(s.Key.Owner().Text()), "signing: ")
	for name, page := range map[string]string{"html": html, "text": text} {
		if strings.Contains(page, seed[:64]) {
			t.Errorf("%s holds the owner key", name)
		}
		for _, want := range []string{sheet.Check(s.Key), seal.Fingerprint(s.Owner), s.Repository, s.Date, s.Stores[0], "IT provider"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
}

var rowForm = map[string]*regexp.Regexp{
	"html": regexp.MustCompile(`(?s)<ol class="rows">(.*?)</ol>`),
	"text": regexp.MustCompile(`(?s)RESTORE KEY \(secret\)(.*?)Check`),
}

func TestRowsTypedInGiveTheKeyBack(t *testing.T) {
	s := example(t)
	html, text := written(t, s)
	for name, page := range map[string]string{"html": html, "text": text} {
		rows := rowForm[name].FindStringSubmatch(page)[1]
		rows = regexp.MustCompile(`<[^>]*>|(?m)^ +\d `).ReplaceAllString(rows, "")
		key, err := seal.ParseRestoreKey([]byte(rows))
		if err != nil || key.Line() != s.Key.Line() {
			t.Errorf("%s: %v from rows %q", name, err, rows)
		}
	}
}

// matrix reads the dark modules back out of the page's SVG.
func matrix(t *testing.T, html string) [][]bool {
	t.Helper()
	size := regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`).FindStringSubmatch(html)
	if size == nil || size[1] != size[2] {
		t.Fatal("no square code on the page")
	}
	side, _ := strconv.Atoi(size[1])
	m := make([][]bool, side)
	for i := range m {
		m[i] = make([]bool, side)
	}
	for _, r := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(html, -1) {
		x, _ := strconv.Atoi(r[1])
		y, _ := strconv.Atoi(r[2])
		n, _ := strconv.Atoi(r[3])
		for i := range n {
			m[y][x+i] = true
		}
	}
	return m
}

func TestCodeOnThePageIsTheCodeOfTheKey(t *testing.T) {
	s := example(t)
	html, _ := written(t, s)
	m := matrix(t, html)
	code, err := qr.Encode(s.Key.Line(), qr.H)
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 4
	if len(m) != code.Size+2*quiet {
		t.Fatalf("side %d, code %d", len(m), code.Size)
	}
	for y := range m {
		for x := range m[y] {
			if m[y][x] != code.Black(x-quiet, y-quiet) {
				t.Fatalf("module %d,%d differs", x, y)
			}
		}
	}
	if got := readCode(t, m, quiet); got != s.Key.Line() {
		t.Errorf("code reads %q", got)
	}
}

func TestLongAddressOfAStoreIsTold(t *testing.T) {
	s := example(t)
	s.Stores = []string{"dir:/mnt/" + strings.Repeat("folder/", 35), "s3://practice-backup/eu"}
	html, text := written(t, s)
	if !strings.Contains(html, s.Stores[0]) || !strings.Contains(text, s.Stores[0]) {
		t.Error("the address is not on the sheet")
	}
}

func TestSheetRefusesWhatDoesNotFit(t *testing.T) {
	for name, change := range map[string]func(*sheet.Sheet){
		"no key":             func(s *sheet.Sheet) { s.Key = nil },
		"no owner":           func(s *sheet.Sheet) { s.Owner = nil },
		"no practice":        func(s *sheet.Sheet) { s.Practice = "" },
		"no store":           func(s *sheet.Sheet) { s.Stores = nil },
		"line feed":          func(s *sheet.Sheet) { s.Holders[0].Label = "a\nb" },
		"turned direction":   func(s *sheet.Sheet) { s.Practice = "a\u202eb" },
		"no UTF-8":           func(s *sheet.Sheet) { s.Stores[0] = "s3://\xff" },
		"long practice":      func(s *sheet.Sheet) { s.Practice = strings.Repeat("x", 51) },
		"long label":         func(s *sheet.Sheet) { s.Holders[1].Label = strings.Repeat("x", 101) },
		"too many holders":   func(s *sheet.Sheet) { s.Holders = make([]sheet.Holder, 7) },
		"too many stores":    func(s *sheet.Sheet) { s.Stores = make([]string, 5) },
		"too long stores":    func(s *sheet.Sheet) { s.Stores[0], s.Stores[1] = strings.Repeat("x", 181), strings.Repeat("y", 91) },
		"no repository":      func(s *sheet.Sheet) { s.Repository = "" },
		"no date":            func(s *sheet.Sheet) { s.Date = "" },
		"nothing of a store": func(s *sheet.Sheet) { s.Stores[1] = "" },
	} {
		s := example(t)
		change(&s)
		var b bytes.Buffer
		if err := s.HTML(&b); err == nil || b.Len() > 0 {
			t.Errorf("%s: HTML written, %v", name, err)
		}
		if err := s.Text(&b); err == nil || b.Len() > 0 {
			t.Errorf("%s: text written, %v", name, err)
		}
	}
}
