package evidence

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// failedColumn is where robocopy's table says how many failed: total, copied,
	// skipped, mismatch, FAILED, extras.
	failedColumn = 4
	columns      = 6
	// afterTable is how many lines may follow the table: times, speed and the end.
	afterTable = 12
	// failure is from which exit code on something was not copied.
	failure = 8
)

// robocopy reads the last table in a log of robocopy. Its words are those of the
// PC's language, so that columns alone tell what is what; the time is that of the
// log itself, which robocopy writes to its end.
func (s Spec) robocopy(text string, written time.Time) (Result, error) {
	if s.Code != "" {
		code, when, err := exitCode(s.Code)
		if err != nil {
			return Result{}, err
		}
		res := Result{Outcome: Succeeded, When: when, Numbers: fmt.Sprintf("exit code %d", code)}
		if code < 0 || code >= failure {
			res.Outcome = Failed
			return res, nil
		}
		written = when
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
	last, failed := -1, 0.0
	for i := 0; i+2 < len(lines); i++ {
		var rows [3][]float64
		for k := range rows {
			rows[k] = tableRow(lines[i+k])
		}
		if rows[0] == nil || rows[1] == nil || rows[2] == nil || !addsUp(rows[1]) {
			continue
		}
		last, failed = i, rows[0][failedColumn]+rows[1][failedColumn]+rows[2][failedColumn]
	}
	if last < 0 {
		return Result{}, nil
	}
	rest := 0
	for _, l := range lines[last+3:] {
		if strings.TrimSpace(l) != "" {
			rest++
		}
	}
	switch {
	case rest > afterTable:
		return Result{}, nil // another run began and has not come to its table
	case failed > 0:
		return Result{Outcome: Failed, When: written, Numbers: fmt.Sprintf("%.0f failed", failed), Text: lines[last+1]}, nil
	}
	return Result{Outcome: Succeeded, When: written, Numbers: "0 failed", Text: lines[last+1]}, nil
}

// addsUp says whether a row of counts is one: everything was copied, skipped, of
// another kind, or failed. Names of files that look like rows do not add up.
func addsUp(row []float64) bool {
	return row[0] == row[1]+row[2]+row[3]+row[failedColumn]
}

// tableRow reads a row of the table: a word, a colon and six numbers, of which sizes
// may have a letter behind them.
func tableRow(line string) []float64 {
	word, rest, ok := strings.Cut(line, ":")
	if !ok || strings.TrimSpace(word) == "" {
		if word, rest, ok = strings.Cut(line, "："); !ok || strings.TrimSpace(word) == "" {
			return nil
		}
	}
	var out []float64
	for f := range strings.FieldsSeq(rest) {
		if len(f) == 1 && strings.Contains("kmgtKMGT", f) && len(out) > 0 {
			continue
		}
		v, err := strconv.ParseFloat(strings.ReplaceAll(f, ",", "."), 64)
		if err != nil || len(out) == columns {
			return nil
		}
		out = append(out, v)
	}
	if len(out) != columns {
		return nil
	}
	return out
}

// exitCode reads the number that a script wrote behind robocopy:
// echo %ERRORLEVEL% > FILE.
func exitCode(path string) (int, time.Time, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read evidence: %w: %w", ErrUnreadable, bare(err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read evidence: %w: %w", ErrUnreadable, bare(err))
	}
	code, err := strconv.Atoi(strings.TrimSpace(Decode(b[:min(len(b), 64)])))
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read evidence: %w: it holds no number", ErrUnreadable)
	}
	return code, info.ModTime(), nil
}
