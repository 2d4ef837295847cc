package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"offsite/examples/practice"
	"offsite/uploader/verify"
	"offsite/uploader/verify/evidence"
)

// told is what the backup program's log says at the end of the day.
type told int

const (
	toldSuccess told = iota
	toldFailure
	toldNothing // it was ended before it could
	toldNowhere // the log cannot be found
)

// logLine is a made-up line: no public sample of a real one exists.
func logLine(when time.Time, end string) string {
	return when.Format("02/01/2006 15:04") + ` FRONTDESK1 user RECEPTION: network backup to \\FRONTDESK1\DataBkup\databackup ` + end
}

const (
	ended = "completed successfully"
	broke = "FAILED: error 112"
)

// watched makes the profile of a layout whose backup program keeps a log: the
// patterns are learned from two lines, as a user does.
func (y *year) watched() (verify.Profile, error) {
	if y.layout.packed == "chain" {
		return verify.Builtin("veeam-chain")
	}
	text, err := verify.BuiltinText("generic")
	if err != nil {
		return verify.Profile{}, err
	}
	out := string(text) + "\nevidence:\n  log: " + fmt.Sprintf("%q", y.log()) + "\n"
	switch y.layout.log {
	case "":
		return verify.Builtin("generic")
	case "robocopy":
		out += "  kind: robocopy\n"
	default:
		s, err := evidence.Learn(evidence.Samples{
			Good: []string{logLine(practice.Evening(30), ended)}, Bad: []string{logLine(practice.Evening(30), broke)},
			Computer: "FRONTDESK1", Location: `\\FRONTDESK1\DataBkup\databackup`, Order: evidence.DMY,
		})
		if err != nil {
			return verify.Profile{}, err
		}
		out += fmt.Sprintf("  kind: lines\n  dates: %s\n  computer: %s\n  location: %q\n  good: [%q]\n  bad: [%q]\n", s.Order, s.Computer, s.Location, s.Good[0], s.Bad[0])
	}
	return verify.ParseProfile([]byte(out))
}

func (y *year) log() string { return y.path("backup.log") }

// tell writes the log as it stands in the evening.
func (y *year) tell(what told) error {
	if y.layout.log == "" {
		return nil
	}
	if what == toldNowhere {
		err := os.Remove(y.log())
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	end := practice.Evening(y.day).Add(5 * time.Minute)
	var text string
	if y.layout.log == "robocopy" {
		text = robocopyLog(what)
	} else {
		var lines []string
		for day := max(y.day-20, 0); day < y.day; day++ {
			lines = append(lines, logLine(practice.Evening(day).Add(5*time.Minute), ended))
		}
		switch what {
		case toldSuccess:
			lines = append(lines, logLine(end, ended))
		case toldFailure:
			lines = append(lines, logLine(end, broke))
		}
		text = strings.Join(lines, "\r\n") + "\r\n"
	}
	if what == toldNothing {
		end = practice.Evening(y.day).Add(-time.Hour)
	}
	return writeAt(y.log(), []byte(text), end)
}

// robocopyLog is what robocopy writes, in German.
func robocopyLog(what told) string {
	out := "-------------------------------------------------------------------------------\r\n   ROBOCOPY     ::     Robustes Dateikopieren\r\n\r\n" +
		strings.Repeat("\t    Neue Datei  \t\t   12345\tbild.jpg\r\n", 30)
	if what == toldNothing {
		return out
	}
	failed := 0
	if what == toldFailure {
		failed = 1
		out += "2026/01/05 18:40:00 FEHLER 32 (0x00000020) Datei wird kopiert\r\n"
	}
	return out + fmt.Sprintf("\r\n           Insgesamt   KopiertÜbersprungenKeine Übereinstimmung    FEHLER    Extras\r\n"+
		"Verzeich.:        41         1        40         0         0         0\r\n"+
		"  Dateien:      1200        30      %d         0         %d         0\r\n"+
		"    Bytes:   92.10 m    1.23 m   90.87 m         0         0         0\r\n"+
		"   Zeiten:   0:00:12   0:00:03                       0:00:00   0:00:09\r\n   Beendet: Montag, 5. Januar 2026 18:45:00\r\n", 1170-failed, failed)
}
