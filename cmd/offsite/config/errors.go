package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is one mistake in the file.
type Error struct {
	File    string `json:"file"` // base name
	Line    int    `json:"line"` // from 1; 0: the file as a whole
	Column  int    `json:"column"`
	Problem string `json:"problem"`
	Source  string `json:"source"` // the line's text, without secrets
	Hint    string `json:"hint"`   // what to write instead; may be empty
}

// Error describes the mistake with its place, the line and a mark below it.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	number := fmt.Sprintf("%5d", e.Line)
	mark := strings.Repeat(" ", max(0, min(e.Column-1, utf8.RuneCountInString(e.Source)))) + "^"
	return fmt.Sprintf("%s:%d:%d: %s\n%s | %s\n%s | %s",
		e.File, e.Line, e.Column, e.Problem, number, e.Source, strings.Repeat(" ", len(number)), mark)
}

// Errors are all mistakes of a file, in the order of their lines.
type Errors []*Error

// Error lists the mistakes with their hints.
func (e Errors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
		if one.Hint != "" {
			b.WriteString("\nhint: " + one.Hint)
		}
	}
	return b.String()
}

// maxErrors bounds a report; the first mistakes usually cause the others.
const maxErrors = 12

// file is the text, kept so that errors can show it.
type file struct {
	name  string
	lines []string
}

type position struct{ line, column int }

// problem records a mistake.
func (d *decoder) problem(at position, problem, hint string) {
	e := &Error{File: filepath.Base(d.file.name), Line: at.line, Column: at.column, Problem: problem, Hint: hint}
	if at.line > 0 && at.line <= len(d.file.lines) {
		e.Source = d.file.shown(at.line)
	}
	d.errs = append(d.errs, e)
}

// problemAt records a mistake at the value of a key, or at the nearest block
// above it that the file has.
func (d *decoder) problemAt(key, problem, hint string) {
	for k := key; k != ""; {
		if at, ok := d.at[k]; ok {
			d.problem(at, problem, hint)
			return
		}
		k = k[:max(0, strings.LastIndexAny(k, ".["))]
	}
	d.problem(position{}, key+": "+problem, hint)
}

func (d *decoder) err() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(d.errs) > maxErrors {
		more := len(d.errs) - maxErrors
		d.errs = append(d.errs[:maxErrors:maxErrors], &Error{File: filepath.Base(d.file.name), Problem: fmt.Sprintf("and %d more", more)})
	}
	return d.errs
}

// secretKeys are the keys whose values must never be repeated in an error: when
// one is wrong, it usually is the secret itself.
var secretKeys = []string{"access_key", "secret_key", "account_key", "credentials"}

// shown returns the text of a line without secrets and with tabs as spaces, so
// that the mark below it stands right.
func (f file) shown(line int) string {
	text := strings.ReplaceAll(f.lines[line-1], "\t", " ")
	for _, key := range secretKeys {
		i := strings.Index(text, key)
		if i < 0 {
			continue
		}
		if end := i + len(key); end < len(text) {
			rest := strings.TrimLeft(text[end:], "'\": ")
			if !strings.HasPrefix(rest, "env:") && !strings.HasPrefix(rest, "file:") && rest != "" {
				return text[:len(text)-len(rest)] + "(not shown)"
			}
		}
	}
	return hideUserinfo(text)
}

// hideUserinfo removes what stands between :// and @, where people put keys.
func hideUserinfo(text string) string {
	i := strings.Index(text, "://")
	if i < 0 {
		return text
	}
	if j := strings.LastIndex(text[i:], "@"); j > 0 {
		return text[:i+3] + "(not shown)" + text[i+j:]
	}
	return text
}

// Nearest returns the word of known that is most like got, or "" when none is
// near enough to be what was meant.
func Nearest(got string, known []string) string {
	best, bestDistance := "", 0
	for _, k := range known {
		d := distance(strings.ToLower(got), strings.ToLower(k))
		if best == "" || d < bestDistance {
			best, bestDistance = k, d
		}
	}
	// A third of the letters may differ; more is a guess that misleads.
	if best == "" || bestDistance > max(1, len(got)/3) {
		return ""
	}
	return best
}

// distance is the number of letters to add, drop, change or swap with the next.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64 // nobody mistypes a word that long by a letter
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
