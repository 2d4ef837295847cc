// Package evidence reads what a backup program says of its own run: in a log of
// lines that a person showed samples of, or in the summary of robocopy.
//
// It promises that a line counts only if it matches a learned pattern as a whole,
// for the right computer and the right place, with a date that can be read; that
// robocopy is judged by its numbers, because its words are translated; and that no
// more than MaxLog bytes of a log are read. It refuses patterns without a date or a
// time, because a line that does not say when proves nothing about tonight.
package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// MaxLog is how much of the end of a log is read: years of one line a day, and the
	// listing of a large night of robocopy.
	MaxLog = 4 << 20
	// maxOlder is how many rotated logs are looked at beside the log itself.
	maxOlder = 4
	// MaxPatterns bounds what is done for each line, MaxLine how long a line may be.
	MaxPatterns = 32
	MaxLine     = 4096
	// finished is for how long a log must have rested before a last line without an
	// end counts: until then the rest of it may still come.
	finished = time.Minute
)

// Kind is a kind of log.
type Kind string

// The kinds.
const (
	Lines    Kind = "lines"
	Robocopy Kind = "robocopy"
)

// Spec says where a backup program tells how its run ended, and in which words.
type Spec struct {
	Kind     Kind
	Log      string // path
	Code     string // path of a file that holds robocopy's exit code; empty: none
	Computer string // who wrote the backup; empty: anybody
	Location string // where to; empty: anywhere
	Order    Order  // of the parts of a date
	Good     []Pattern
	Bad      []Pattern
}

// Outcome is what a log says of the last run.
type Outcome uint8

// The outcomes.
const (
	Nothing Outcome = iota // no line is about this computer and place
	Succeeded
	Failed
)

// Result is the last thing that was said.
type Result struct {
	Outcome Outcome
	When    time.Time
	Text    string // the line; for the local console alone
	Numbers string // what robocopy counted as failed, or its exit code
}

// Errors of reading.
var (
	// ErrUnset: the configuration names no log.
	ErrUnset = errors.New("no log is named")
	// ErrUnreadable: the log cannot be read.
	ErrUnreadable = errors.New("the log cannot be read")
)

// Read returns the last result that the log holds. zone is that of the PC that
// writes it.
func (s Spec) Read(now time.Time, zone *time.Location) (Result, error) {
	if s.Log == "" {
		return Result{}, ErrUnset
	}
	text, written, err := readEnd(s.Log)
	if err != nil {
		return Result{}, fmt.Errorf("read evidence: %w: %w", ErrUnreadable, bare(err))
	}
	if s.Kind == Robocopy {
		return s.robocopy(text, written)
	}
	best := s.last(text, now.Sub(written) >= finished, zone)
	for _, older := range rotated(s.Log) {
		if best.Outcome != Nothing {
			break
		}
		if text, _, err := readEnd(older); err == nil {
			best = s.last(text, true, zone)
		}
	}
	return best, nil
}

// last finds the newest line that a pattern matches. Of a good and a bad line with
// the same time the bad one counts.
func (s Spec) last(text string, ended bool, zone *time.Location) Result {
	var best Result
	lines := strings.Split(text, "\n")
	if !ended {
		lines = lines[:len(lines)-1] // the last one may be half of a line
	}
	for _, line := range lines {
		line = strings.TrimRight(line, "\r")
		if len(line) > MaxLine {
			continue
		}
		for _, k := range []struct {
			outcome  Outcome
			patterns []Pattern
		}{{Succeeded, s.Good}, {Failed, s.Bad}} {
			for _, p := range k.patterns {
				when, ok := p.match(line, s, zone)
				if ok && !when.Before(best.When) {
					best = Result{Outcome: k.outcome, When: when, Text: line}
				}
			}
		}
	}
	return best
}

// rotated names the logs that the log itself may have become: backup.log.1,
// backup.old and the like, the newest first.
func rotated(log string) []string {
	stem := strings.TrimSuffix(filepath.Base(log), filepath.Ext(log))
	entries, err := os.ReadDir(filepath.Dir(log))
	if err != nil || len(stem) < 3 {
		return nil
	}
	type old struct {
		path string
		time time.Time
	}
	var list []old
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == filepath.Base(log) || !strings.HasPrefix(strings.ToLower(e.Name()), strings.ToLower(stem)) {
			continue
		}
		if info, err := e.Info(); err == nil {
			list = append(list, old{filepath.Join(filepath.Dir(log), e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b old) int { return b.time.Compare(a.time) })
	var out []string
	for _, o := range list[:min(len(list), maxOlder)] {
		out = append(out, o.path)
	}
	return out
}

// readEnd returns the text at the end of a file, and when it was written.
func readEnd(path string) (string, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return "", time.Time{}, errors.New("it is no file")
	}
	from := max(info.Size()-MaxLog, 0) &^ 1 // in whole letters of UTF-16
	head := make([]byte, min(info.Size(), 2))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", time.Time{}, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, from, MaxLog+2))
	if err != nil {
		return "", time.Time{}, err
	}
	if from > 0 && (bytes.Equal(head, []byte{0xff, 0xfe}) || bytes.Equal(head, []byte{0xfe, 0xff})) {
		b = append(head, b...)
	}
	text := Decode(b)
	if from > 0 { // the first line is half of one
		_, text, _ = strings.Cut(text, "\n")
	}
	return text, info.ModTime(), nil
}

// bare takes the path out of an error: it may hold a name.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
