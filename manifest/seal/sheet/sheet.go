// Package sheet writes the recovery sheet: one printed page from which a practice
// gets its data back when everything else is gone.
//
// It promises a page that needs nothing beside itself (no script, no image, no
// font, no address that is fetched), that fits on A4, and that says every step
// with and without offsite. It refuses texts that would not fit or that hold
// control characters. The page holds the restore key, and no other secret.
package sheet

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"offsite/manifest/seal"
)

// Limits, so that the sheet stays one page, tried with everything at its limit.
const (
	maxHolders = 6
	maxStores  = 4  // lines of stores: a long address takes several
	maxTitle   = 50 // characters of the practice's label
	maxLine    = 90 // characters of any other text
)

// Holder is a recovery holder as the sheet names them.
type Holder struct {
	ID    string // as in keys/holder-ID.age
	Kind  seal.HolderKind
	Label string // who or where, in the practice's words
}

// Sheet is what stands on the page.
type Sheet struct {
	Practice   string // label of the practice
	Repository string // id
	Date       string // of printing
	Owner      ed25519.PublicKey
	Holders    []Holder
	Stores     []string // addresses, without credentials
	Key        *seal.RestoreKey
}

// Check is what a person compares after typing the key: the first 8 hexadecimal
// digits of the SHA-256 of the key line. The key carries a checksum of its own
// that offsite and age test; this one also serves who has neither at hand.
func Check(key *seal.RestoreKey) string {
	sum := sha256.Sum256([]byte(key.Line()))
	s := hex.EncodeToString(sum[:4])
	return s[:4] + "-" + s[4:]
}

func (s Sheet) validate() error {
	if s.Key == nil || len(s.Owner) != ed25519.PublicKeySize {
		return errors.New("write recovery sheet: restore key or owner key is missing")
	}
	lines := 0
	for _, a := range s.Stores {
		lines += max(1, (utf8.RuneCountInString(a)+maxLine-1)/maxLine)
	}
	if len(s.Holders) > maxHolders || lines > maxStores {
		return fmt.Errorf("write recovery sheet: more than %d holders or %d lines of stores do not fit on one page", maxHolders, maxStores)
	}
	if len(s.Stores) == 0 {
		return errors.New("write recovery sheet: no store")
	}
	if utf8.RuneCountInString(s.Practice) > maxTitle {
		return fmt.Errorf("write recovery sheet: practice must be 1 to %d printable characters", maxTitle)
	}
	type line struct {
		what, text string
		most       int
	}
	texts := []line{{"practice", s.Practice, maxLine}, {"repository", s.Repository, maxLine}, {"date", s.Date, maxLine}}
	for _, h := range s.Holders {
		texts = append(texts, line{"holder", h.ID + string(h.Kind) + h.Label, maxLine})
	}
	for _, a := range s.Stores {
		texts = append(texts, line{"store", a, maxStores * maxLine})
	}
	for _, t := range texts {
		if t.text == "" || utf8.RuneCountInString(t.text) > t.most || !utf8.ValidString(t.text) || strings.ContainsFunc(t.text, notPrintable) {
			return fmt.Errorf("write recovery sheet: %s must be 1 to %d printable characters", t.what, t.most)
		}
	}
	return nil
}

// notPrintable also finds the marks that turn the direction of writing, with which
// a label could make another line look different.
func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

const (
	keyPrefix = "AGE-SECRET-KEY-PQ-1"
	groupSize = 4
	rowGroups = 5
)

// rows cuts a key into lines that a person can copy: the prefix, which is the same
// on every sheet, then groups of four. Parsing ignores the blanks.
func rows(key string) []string {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return []string{key}
	}
	out := []string{keyPrefix}
	var row []string
	for len(rest) > 0 {
		n := min(groupSize, len(rest))
		row = append(row, rest[:n])
		if rest = rest[n:]; len(row) == rowGroups || rest == "" {
			out = append(out, strings.Join(row, " "))
			row = nil
		}
	}
	return out
}

// step is one numbered step. Commands stand on lines of their own.
type step struct {
	Text     string
	Commands []string
}

// recoverCommand is the call of the stand-alone reader in examples/recover.
const recoverCommand = "python3 recover.py --key restore.key --to FOLDER COPY"

// withOffsite are the steps for who has the program.
func (s Sheet) withOffsite() []step {
	return []step{
		{Text: "Take any computer that is healthy. Install offsite."},
		{Text: "Write the key above into a text file named restore.key: scan the code, or type the rows (blanks and small letters do no harm)."},
		{Text: "Get a credential that may read the store from whoever owns the account, and write a configuration with the store's address. Then:",
			Commands: []string{"offsite restore latest --restore-key restore.key --to FOLDER"}},
		{Text: "If a recovery holder unlocked the key instead of this sheet, compare its check and the owner fingerprint with those above. If they differ, somebody has put another key in its place: stop."},
	}
}

// withoutOffsite are the steps for who has not.
func (s Sheet) withoutOffsite() []step {
	return []step{
		{Text: "Copy everything in the store into a folder COPY, with the provider's own tools or a file manager. Install age (1.3 or later), zstd and Python 3."},
		{Text: "Write restore.key as above, here with the key on one line, in capitals and without blanks. Or let a recovery holder unlock their copy of it:",
			Commands: []string{"age --decrypt COPY/keys/holder-ID.age > restore.key"}},
		{Text: "Fetch recover.py from examples/recover of the offsite source code, and run:",
			Commands: []string{recoverCommand}},
		{Text: "By hand: every file under COPY/r/p opens as below. What is inside is described in manifest/pack/FORMAT.md of the source code.",
			Commands: []string{"age --decrypt --identity restore.key PACK > plain"}},
	}
}
