package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The files stand in testdata/service: what each system would be told. Nobody but the
// system reads them, so a change of a letter must be wanted.
func TestEachSystemIsToldWhatTheGoldenFileSays(t *testing.T) {
	for name, s := range map[string]serviceSettings{
		"linux":            {system: "linux", name: "offsite", user: "practice", program: "/usr/local/bin/offsite", config: "/etc/offsite/offsite.yaml"},
		"linux-odd":        {system: "linux", name: "offsite-two", user: "practice", program: "/opt/of $site/100%/offsite", config: `/etc/off\site $1/offsite.yaml`},
		"darwin":           {system: "darwin", name: "offsite", user: "practice", program: "/usr/local/bin/offsite", config: "/Library/Application Support/R&D <one>/offsite.yaml"},
		"windows":          {system: "windows", name: "offsite", user: `NT AUTHORITY\Network Service`, program: `C:\Program Files\offsite\offsite.exe`, config: `C:\ProgramData\offsite\offsite.yaml`},
		"windows-password": {system: "windows", name: "offsite", user: `PRACTICE\backup`, program: `C:\Program Files\R&D\offsite.exe`, config: `D:\offsite\offsite.yaml`},
	} {
		p, err := planService(s)
		if err != nil {
			t.Fatal(err)
		}
		ans := p.answer("nothing was done")
		ans.Text = p.Text
		for _, steps := range [][]step{p.install, p.remove, p.start, p.stop, {p.look}} {
			ans.Commands = append(ans.Commands, commands(steps...)...)
		}
		golden, err := os.ReadFile(filepath.Join("testdata", "service", name+".golden"))
		must(t, err)
		if got := capture(ans); !bytes.Equal(got, golden) {
			t.Errorf("%s:\n%s", name, got)
		}
		if p.asks != (name == "windows-password") {
			t.Errorf("%s: asks for a password: %v", name, p.asks)
		}
		if s.system != "linux" {
			wellFormed(t, name, p.Text)
		}
	}
}

func wellFormed(t *testing.T, name, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestServiceIsNotToldWhatItCouldMisread(t *testing.T) {
	good := serviceSettings{system: "linux", name: "offsite", user: "practice", program: "/usr/bin/offsite", config: "/etc/offsite.yaml"}
	for name, spoil := range map[string]func(s *serviceSettings){
		"line end in user": func(s *serviceSettings) { s.user = "practice\nExecStartPre=/bin/sh" },
		"quote in program": func(s *serviceSettings) { s.program = `/usr/bin/off"site` },
		"zero in config":   func(s *serviceSettings) { s.config = "/etc/\x00" },
		"unknown system":   func(s *serviceSettings) { s.system = "plan9" },
	} {
		s := good
		spoil(&s)
		if _, err := planService(s); err == nil {
			t.Errorf("%s: accepted", name)
		} else if exit, hints := judge(err); exit != exitUsage || len(hints) == 0 {
			t.Errorf("%s: exit %d, hints %q", name, exit, hints)
		}
	}
}

func TestTaskIsWrittenAsWindowsReadsIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "task.xml")
	must(t, servicePlan{System: "windows", File: file, Text: "é\n"}.writeFile())
	got, err := os.ReadFile(file)
	must(t, err)
	if want := []byte{0xff, 0xfe, 0xe9, 0, '\r', 0, '\n', 0}; !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	err = noRights(servicePlan{System: "linux", File: filepath.Join(file, "no", "folder"), Text: "x"}.writeFile())
	if err == nil {
		t.Error("a file below a file was written")
	}
	if exit, hints := judge(noRights(&os.PathError{Op: "open", Path: file, Err: os.ErrPermission})); exit != exitFailed || len(hints) != 1 {
		t.Errorf("exit %d, hints %q", exit, hints)
	}
}

// A service's standard error is the system's log, which people send on.
func TestWatchNamesNoFileInALog(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted from outside on Windows")
	}
	p := newPlace(t)
	p.configure("#quiet: 10m", "quiet: 1s")
	p.file("source/jane-doe.jpg.wncry", "encrypted")
	r := p.interrupted(t, "the set is suspect", "watch")
	r.says(t, "stored as ", "the set is suspect")
	if strings.Contains(r.stderr+r.stdout, "jane-doe") {
		t.Errorf("a file is named\n%s%s", r.stderr, r.stdout)
	}
	names, err := os.ReadFile(p.path("state", "practice", findingsFile))
	must(t, err)
	if !strings.Contains(string(names), "jane-doe.jpg.wncry") {
		t.Errorf("the findings file has %q", names)
	}
	p.want(exitSuspect, "run", "--wait", "0s", "--day", "2026-11-20").says(t, "jane-doe.jpg.wncry")
}
