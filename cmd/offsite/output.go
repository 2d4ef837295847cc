package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"offsite/cmd/offsite/config"
)

// errorObject is what --json prints of an error.
type errorObject struct {
	Message  string          `json:"message"`
	Hints    []string        `json:"hints"`
	Exit     int             `json:"exit"`
	Meaning  string          `json:"meaning"`
	Mistakes []*config.Error `json:"mistakes,omitempty"`
}

// present prints the answer and the error, and returns the exit code.
func (a *app) present(ans answer, err error) int {
	exit, hints := judge(err)
	var only verdictOnly
	silent := err == nil || errors.As(err, &only)
	var out []byte
	var problem error
	switch {
	case a.json && (ans != nil || err != nil):
		out, problem = jsonAnswer(ans, err, exit, hints, silent)
	case ans != nil:
		out = capture(ans)
	}
	if problem == nil && len(out) > 0 {
		_, problem = a.stdout.Write(out)
	}
	if !silent {
		a.explain(err, hints)
	}
	if problem != nil {
		fmt.Fprintf(a.stderr, "offsite: error: write answer: %v\n", problem)
		if exit == exitDone {
			exit = exitFailed
		}
	}
	return exit
}

// explain prints an error for a person.
func (a *app) explain(err error, hints []string) {
	var b strings.Builder
	var mistakes config.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Fprintf(&b, "offsite: error: %v\n", m)
			if m.Hint != "" {
				fmt.Fprintf(&b, "hint: %s\n", m.Hint)
			}
		}
	} else {
		fmt.Fprintf(&b, "offsite: error: %s\n", oneLine(err))
	}
	for _, h := range hints {
		fmt.Fprintf(&b, "hint: %s\n", h)
	}
	io.WriteString(a.stderr, b.String())
}

// oneLine writes an error that may be several joined ones.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// jsonAnswer writes exactly one object: the answer's fields, and the error beside
// them if there is one.
func jsonAnswer(ans answer, err error, exit int, hints []string, silent bool) ([]byte, error) {
	body := []byte("{}")
	if ans != nil {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(ans); err != nil {
			return nil, err
		}
		body = bytes.TrimSpace(b.Bytes())
		if len(body) < 2 || body[0] != '{' {
			return nil, errors.New("the answer is not an object")
		}
	}
	if !silent {
		o := errorObject{Message: oneLine(err), Hints: hints, Exit: exit, Meaning: exitMeaning[exit]}
		if o.Hints == nil {
			o.Hints = []string{}
		}
		var mistakes config.Errors
		if errors.As(err, &mistakes) {
			o.Mistakes, o.Message = mistakes, mistakes[0].Problem
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(struct {
			Error errorObject `json:"error"`
		}{o}); err != nil {
			return nil, err
		}
		extra := bytes.TrimSpace(b.Bytes())
		if len(body) > 2 {
			extra = append(append(extra[:len(extra)-1:len(extra)-1], ','), body[1:]...)
		}
		body = extra
	}
	return append(body, '\n'), nil
}

// say prints a line for people.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.stderr, "offsite: "+format+"\n", args...)
}

// sayNames prints lines that name files, unless they would go to a log. What the
// findings are about stands in the findings file too.
func (a *app) sayNames(lines []string) {
	for _, line := range lines {
		if !a.nameless {
			a.say("%s", line)
		}
	}
}

// terminal returns the file descriptor of a stream when a person sits at it.
func terminal(stream any) (int, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd := int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// bar shows progress to a person. Without a terminal it does nothing: the bar is
// made of control characters, which spoil log files.
type bar struct {
	bar   *progressbar.ProgressBar
	total int64
}

// newBar returns a bar with a description such as "restoring".
func (a *app) newBar(description string) *bar {
	if _, ok := terminal(a.stderr); !ok {
		return &bar{}
	}
	if kind, _ := a.env("TERM"); kind == "dumb" {
		return &bar{}
	}
	return &bar{bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(description),
		progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
		progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(barInterval),
		progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth())}
}

// barInterval is how often the bar is drawn; more often is not seen, and costs.
const barInterval = 100e6 // nanoseconds

// at shows that done of total bytes are done; total may grow.
func (b *bar) at(done, total int64) {
	if b.bar == nil {
		return
	}
	if total != b.total && total > 0 {
		b.total = total
		b.bar.ChangeMax64(total)
	}
	// An error here is one of drawing, and nothing depends on it.
	_ = b.bar.Set64(done)
}

// done removes the bar.
func (b *bar) done() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// bytesText writes a number of bytes for people, with three figures.
func bytesText(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n), -1
	for v >= 999.5 && u < len(units)-1 {
		v /= 1000
		u++
	}
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f %cB", v, units[u])
	case v < 99.95:
		return fmt.Sprintf("%.1f %cB", v, units[u])
	}
	return fmt.Sprintf("%.0f %cB", v, units[u])
}
