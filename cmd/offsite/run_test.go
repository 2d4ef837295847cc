package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
)

// offsite runs the program in this process with an empty environment.
func offsite(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := func(string) (string, bool) { return "", false }
	clock := func() time.Time { return time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC) }
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs, env, clock)
	return code, out.String(), errs.String()
}

func TestEveryVerbExplainsItself(t *testing.T) {
	root := (&app{}).root(func(answer) {})
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c == root || !c.IsAvailableCommand() || c.HasAvailableSubCommands() {
			return
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		code, help, stderr := offsite(t, args...)
		if code != exitDone || stderr != "" {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
		for _, want := range []string{c.CommandPath() + ": ", "\nUsage:\n", "\nExample:\n", "\nExit codes:\n", "  0  done\n", "  2  wrong usage"} {
			if !strings.Contains(help, want) {
				t.Errorf("%v: no %q in\n%s", args, want, help)
			}
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%v: the example does not show the verb: %s", args, c.Example)
		}
	}
	walk(root)
}

func TestErrorsAreOneObjectWithJSON(t *testing.T) {
	for _, args := range [][]string{
		{"--json"}, {"--json", "nonsense"}, {"version", "--json", "x"}, {"version", "--nonsense", "--json"},
		{"init", "--json"}, {"--config", "/does/not/exist/offsite.yaml", "days", "--json"},
	} {
		code, stdout, stderr := offsite(t, args...)
		var o struct {
			Error struct {
				Message string
				Hints   []string
				Exit    int
			}
		}
		d := json.NewDecoder(strings.NewReader(stdout))
		d.DisallowUnknownFields()
		if err := json.Unmarshal([]byte(stdout), &o); err != nil || o.Error.Message == "" || o.Error.Exit != code || code != exitUsage {
			t.Errorf("%v: exit %d, %v\n%s", args, code, err, stdout)
		}
		if !strings.HasPrefix(stderr, "offsite: error: ") {
			t.Errorf("%v: nothing for people: %q", args, stderr)
		}
	}
}

func TestKindsOfErrorsHaveTheirExitCode(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("do something: %w", err) }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("anything"), exitFailed},
		{context.Canceled, exitFailed},
		{wrongUse("x"), exitUsage},
		{seal.ErrWrongPassphrase, exitUsage},
		{seal.ErrKeyFileOpen, exitUsage},
		{verdictOnly(exitSuspect), exitSuspect},
		{&providers.Error{Op: "put", Kind: providers.ErrUnreachable}, exitStore},
		{&providers.Error{Op: "put", Kind: providers.ErrDenied}, exitStore},
		{&providers.Error{Op: "put", Kind: providers.ErrFull}, exitStore},
		{manifest.ErrNoStore, exitStore},
		{&providers.Error{Op: "get", Kind: providers.ErrCorrupt}, exitDamaged},
		{&providers.Error{Op: "get", Kind: providers.ErrNotExist}, exitDamaged},
		{seal.ErrDamaged, exitDamaged},
		{seal.ErrSignature, exitDamaged},
		{fs.ErrNotExist, exitFailed},
		{fs.ErrPermission, exitFailed},
	} {
		err := c.err
		if err != nil {
			err = wrap(err)
		}
		if got, _ := judge(err); got != c.want {
			t.Errorf("%v: exit %d, want %d", err, got, c.want)
		}
	}
}

func TestEveryExitCodeHasItsMeaning(t *testing.T) {
	for code := exitDone; code <= exitNothingNew; code++ {
		if exitMeaning[code] == "" {
			t.Errorf("exit code %d has no meaning", code)
		}
	}
}

type words string

func (w words) text(to io.Writer) { io.WriteString(to, string(w)) }

type noRoom struct{}

func (noRoom) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stdout: noRoom{}, stderr: &stderr}
	if code := a.present(words("the answer"), nil); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(stderr.String(), "write answer: no space left") {
		t.Errorf("said %q", stderr.String())
	}
}

func TestErrorStandsBesideTheAnswerInOneObject(t *testing.T) {
	var stdout bytes.Buffer
	a := &app{stdout: &stdout, stderr: io.Discard, json: true}
	code := a.present(holderAnswerForTest{Name: "x"}, &providers.Error{Op: "put", Kind: providers.ErrUnreachable})
	want := `{"error":{"message":"put: store is unreachable","hints":["is the disk connected, or the network up? nothing stored is lost"],"exit":5,"meaning":"a store is unreachable or refused"},"name":"x"}` + "\n"
	if code != exitStore || stdout.String() != want {
		t.Errorf("exit %d\n%s", code, stdout.String())
	}
}

type holderAnswerForTest struct {
	Name string `json:"name"`
}

func (holderAnswerForTest) text(io.Writer) {}

func TestBytesAreWrittenWithThreeFigures(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.00 kB", 9994: "9.99 kB", 9999: "10.0 kB", 99_949: "99.9 kB", 99_960: "100 kB",
		999_499: "999 kB", 999_999: "1.00 MB", 5_300_000_000: "5.30 GB", 1 << 62: "4.61 EB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
