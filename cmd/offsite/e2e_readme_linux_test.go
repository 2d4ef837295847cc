package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"offsite/examples/practice"
)

// The commands of README.md do what it says, typed at a terminal as they stand
// there: only the folders and the day are this test's.
func TestReadmeCommandsWorkAsTheyStand(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("a passphrase takes half a minute under the race detector, and five are needed")
	}
	home := t.TempDir()
	p := &place{t: t, home: home, source: filepath.Join(home, "srv", "databackup"), store: filepath.Join(home, "mnt", "usb", "offsite"),
		env: []string{"OFFSITE_CONFIG=" + filepath.Join(home, "etc", "offsite.yaml"), "TERM=xterm"}}
	_, err := practice.Generate(t.Context(), practice.Options{Dir: p.source, Size: practice.MinSize, Seed: 1})
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(home, "mnt", "usb"), 0o755))
	const passphrase = "correct horse battery staple"
	p.file("passphrase.txt", passphrase+"\n")

	commands := readmeCommands(t)
	if len(commands) < 7 {
		t.Fatalf("README.md has the commands %q", commands)
	}
	day := "2026-11-20"
	for _, command := range commands {
		literal := command
		for old, new := range map[string]string{"/srv/": home + "/srv/", "/mnt/": home + "/mnt/", "PASSPHRASE": home + "/passphrase.txt", "2026-11-20": day} {
			command = strings.ReplaceAll(command, old, new)
		}
		until := ""
		if strings.HasPrefix(literal, "offsite watch") {
			must(t, practice.Touch(p.source, time.Now())) // a backup that has just ended
			until = "stored as "
		}
		said, code := p.atTerminal(t, command, passphrase, until)
		if code != exitDone {
			t.Fatalf("%s: exit %d\n%s", literal, code, said)
		}
		if strings.Contains(said, passphrase) {
			t.Errorf("%s: the passphrase was shown", literal)
		}
		switch {
		case strings.HasPrefix(literal, "offsite init"):
			// Ten minutes of quiet are too many for a test, and its day must not end.
			config := filepath.Join(home, "etc", "offsite.yaml")
			text, err := os.ReadFile(config)
			must(t, err)
			text = bytes.Replace(text, []byte("#quiet: 10m"), []byte("quiet: 1s"), 1)
			must(t, os.WriteFile(config, bytes.Replace(text, []byte("Europe/London"), []byte(noonZone()), 1), 0o644))
		case strings.HasPrefix(literal, "offsite run"):
			day = regexp.MustCompile(`\d{4}-\d\d-\d\d`).FindString(said)
		case strings.HasPrefix(literal, "offsite restore"):
			equal(t, facts(t, p.source), facts(t, filepath.Join(home, "srv", "restored")))
		case strings.HasPrefix(literal, "offsite check"):
			if !strings.Contains(said, "all is well") {
				t.Errorf("check said\n%s", said)
			}
		}
	}
}

// readmeCommands are the lines of the block that sets a practice up.
func readmeCommands(t *testing.T) (commands []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	must(t, err)
	_, rest, ok := strings.Cut(string(text), "## Setting it up\n\n```\n")
	block, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("README.md has no block that sets a practice up")
	}
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "...") { // the dots are for what was said before
			commands = append(commands, line)
		}
	}
	return commands
}

// atTerminal types a command at a terminal, and a passphrase when it is asked for.
// When until was said, it is interrupted from the keyboard.
func (p *place) atTerminal(t *testing.T, command, passphrase, until string) (said string, code int) {
	t.Helper()
	keyboard, terminal := openTerminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
	c.Dir, c.Env = p.home, p.environ()
	c.Stdin, c.Stdout, c.Stderr = terminal, terminal, terminal
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, c.Start())
	must(t, terminal.Close())
	var screen bytes.Buffer
	asked, ended := 0, false
	for b := make([]byte, 4096); ; {
		n, err := keyboard.Read(b)
		screen.Write(b[:n])
		if n := strings.Count(screen.String(), "assphrase: "); n > asked {
			asked = n
			unseen(t, keyboard)
			_, err := io.WriteString(keyboard, passphrase+"\n")
			must(t, err)
		}
		if until != "" && !ended && strings.Contains(screen.String(), until) {
			ended = true
			_, err := keyboard.Write([]byte{3}) // control and C
			must(t, err)
		}
		if err != nil { // of a terminal that nobody has open any more
			break
		}
	}
	err := c.Wait()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("%s: it did not end\n%s", command, screen.String())
	}
	must(t, keyboard.Close())
	return screen.String(), exitOf(t, err)
}

// unseen waits until a terminal does not show what is typed, as a person would be
// too slow to see that it still does.
func unseen(t *testing.T, keyboard *os.File) {
	t.Helper()
	for end := time.Now().Add(longEnough); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s, err := unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS); err == nil && s.Lflag&unix.ECHO == 0 {
			return
		}
	}
	t.Fatal("the terminal shows what is typed after the question for a passphrase")
}

// openTerminal makes a terminal: what a person types at and reads from, and what a
// program sees.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this system makes no terminals: %v", err)
	}
	must(t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return keyboard, terminal
}

// The demonstration that README.md begins with, as it stands there.
func TestReadmeDemonstrationWorksAsItStands(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("the script demo.txtar runs a smaller one")
	}
	p := &place{t: t, home: t.TempDir()}
	c := exec.CommandContext(t.Context(), "offsite", "demo")
	c.Dir, c.Env = p.home, p.environ()
	r := p.finish(c)
	// Of its own work, for nothing is said about what else the computer does.
	work := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	t.Logf("%v of processor time", work)
	if r.code != exitDone || !strings.Contains(r.stdout, "bit for bit") || work > time.Minute {
		t.Errorf("exit %d after %v of processor time\n%s%s", r.code, work, r.stdout, r.stderr)
	}
}
