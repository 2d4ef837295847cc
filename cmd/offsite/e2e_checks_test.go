package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestAMassChangeIsSuspectUntilItIsAcknowledged goes the way of a practice whose
// images were compressed overnight, and of one whose images were encrypted.
func TestAMassChangeIsSuspectUntilItIsAcknowledged(t *testing.T) {
	p := newPlace(t)
	for i := range 60 {
		p.file(fmt.Sprintf("source/images/Doe Jane %d.png", i), picture(t, i, 64))
	}
	p.file("source/patients.db", string(noise(1, 20<<10)))
	p.want(exitDone, "run", "--wait", "0s")
	for i := range 20 {
		p.file(fmt.Sprintf("source/images/Doe Jane %d.png", i), picture(t, i, 32))
	}
	r := p.want(exitSuspect, "run", "--wait", "0s", "--json")
	var ans runAnswer
	r.into(t, &ans)
	if ans.Verdict != "suspect" || len(ans.Findings) != 1 || ans.Findings[0].Check != "rewritten" || !ans.committed() {
		t.Errorf("answer %+v", ans)
	}
	if strings.Contains(r.stdout, "Doe") {
		t.Errorf("the answer names a file: %s", r.stdout)
	}
	found, err := filepath.Glob(p.path("*", "*", findingsFile))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("files with findings: %q", found)
	}
	names, err := os.ReadFile(found[0])
	must(t, err)
	info, err := os.Stat(found[0])
	must(t, err)
	if !bytes.Contains(names, []byte("Doe Jane")) || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v and holds %s", findingsFile, info.Mode(), names)
	}
	p.want(exitUsage, "acknowledge", "2001-01-01", "--reason", "x")
	p.want(exitUsage, "acknowledge", ans.Day)
	p.want(exitDone, "acknowledge", ans.Day, "--reason", "images were compressed")
	p.want(exitUsage, "acknowledge", ans.Day, "--reason", "again")
	answers(t, p.want(exitDone, "run", "--wait", "0s"), "clean", "acknowledged")
	for i := range 20 {
		p.file(fmt.Sprintf("source/images/Doe Jane %d.png", 20+i), string(noise(uint64(i), 4000)))
	}
	answers(t, p.want(exitSuspect, "run", "--wait", "0s"), "damaged")
}

// TestAProfileOfOnesOwnIsUsed names a file as the profile, and its log.
func TestAProfileOfOnesOwnIsUsed(t *testing.T) {
	p := newPlace(t)
	p.file("source/patients.db", string(noise(1, 20<<10)))
	text := p.want(exitDone, "profile", "print", "generic").stdout
	p.file("own.yaml", text+"\nrequired:\n- {id: chart, match: [chart.db]}\n")
	p.configure("profile: generic", "profile: ./own.yaml")
	answers(t, p.want(exitIncomplete, "run", "--wait", "0s"), "required:chart")
	p.file("source/chart.db", "x")
	p.want(exitDone, "run", "--wait", "0s")
	learnt := p.want(exitDone, "profile", "learn", "--good", "20/11/2026 18:45 well", "--bad", "20/11/2026 18:45 ill", "--log", p.path("backup.log")).stdout
	p.file("own.yaml", text+"\n"+learnt)
	p.file("backup.log", "20/11/2001 18:45 well\n")
	answers(t, p.want(exitIncomplete, "run", "--wait", "0s"), "evidence")
	p.file("own.yaml", "name: x\nquite: 1m\n")
	p.want(exitUsage, "run", "--wait", "0s").says(t, "quite")
}

// answers checks the texts of an answer on standard output.
func answers(t *testing.T, r result, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("no %q in %s", text, r.stdout)
		}
	}
}

func picture(t *testing.T, seed, size int) string {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, size, size))
	copy(img.Pix, noise(uint64(seed), len(img.Pix)))
	var b bytes.Buffer
	must(t, png.Encode(&b, img))
	return b.String()
}
