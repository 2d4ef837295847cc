package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"offsite/manifest/seal"
	"offsite/manifest/seal/sheet"
)

// keyVerbs are the verbs below key.
func (a *app) keyVerbs(keep func(answer)) *cobra.Command {
	key := group("key", "look after the restore key and who can unlock it", keep, a.keySheetVerb())
	key.AddCommand(group("holders", "the recovery holders, who can unlock the restore key", keep,
		a.holdersListVerb(), a.holdersAddVerb(), a.holdersRemoveVerb()))
	return key
}

// sheetAnswer is the recovery sheet, for the screen or a program.
type sheetAnswer struct {
	Repository string        `json:"repository"`
	Date       string        `json:"date"`
	Owner      string        `json:"owner"` // fingerprint
	Check      string        `json:"check"`
	Stores     []string      `json:"stores"`
	Holders    []holderShort `json:"holders"`
	RestoreKey string        `json:"restore_key"`

	page []byte
}

func (s sheetAnswer) text(w io.Writer) { w.Write(s.page) }

func (a *app) keySheetVerb() verb {
	var unlock keyFlags
	var to string
	return verb{
		use:   "sheet [--to FILE]",
		short: "write the recovery sheet, to be printed and kept elsewhere",
		long: `The sheet holds the restore key itself. With --to it is written to a file that
only this user can read: as a page for the printer, with a code to scan, if the
name ends with .html, else as text.`,
		example: "  offsite key sheet --to sheet.html --recovery-passphrase-file passphrase.txt",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&to, "to", "", "the `FILE` to write; it must not exist")
			unlock.add(f)
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			l, err := a.openLibrary(ctx, &unlock)
			if err != nil {
				return nil, err
			}
			page, err := a.recoverySheet(ctx, l)
			if err != nil {
				return nil, err
			}
			return writeSheet(page, to)
		},
	}
}

// recoverySheet gathers what stands on the sheet.
func (a *app) recoverySheet(ctx context.Context, l *library) (sheet.Sheet, error) {
	s := sheet.Sheet{Practice: l.header.Repository, Repository: l.header.Repository, Date: a.now().In(l.zone).Format(time.DateOnly),
		Owner: l.owner, Key: l.key}
	var err error
	if s.Stores, err = a.addresses(); err != nil {
		return s, err
	}
	holders, err := holdersOf(ctx, l)
	if err != nil {
		return s, err
	}
	for _, h := range holders.Holders {
		s.Holders = append(s.Holders, sheet.Holder{ID: h.ID, Kind: seal.HolderKind(h.Kind), Label: unlocksWith(h)})
	}
	return s, nil
}

// writeSheet writes the page to a file, as HTML if its name says so, or makes it
// the answer.
func writeSheet(s sheet.Sheet, to string) (answer, error) {
	var b bytes.Buffer
	write := s.Text
	if ext := strings.ToLower(filepath.Ext(to)); ext == ".html" || ext == ".htm" {
		write = s.HTML
	}
	if err := write(&b); err != nil {
		return nil, err
	}
	defer clear(b.Bytes())
	if to != "" {
		if err := seal.WriteKeyFile(to, b.Bytes()); err != nil {
			return nil, err
		}
		return written{to}, nil
	}
	ans := sheetAnswer{Repository: s.Repository, Date: s.Date, Owner: seal.Fingerprint(s.Owner), Check: sheet.Check(s.Key),
		Stores: s.Stores, Holders: []holderShort{}, RestoreKey: s.Key.Line(), page: bytes.Clone(b.Bytes())}
	for _, h := range s.Holders {
		ans.Holders = append(ans.Holders, holderShort{ID: h.ID, Kind: string(h.Kind)})
	}
	return ans, nil
}

// written names a file that a verb wrote.
type written struct {
	File string `json:"file"`
}

func (f written) text(w io.Writer) { fmt.Fprintf(w, "Written to %s.\n", f.File) }

// addresses are those of all stores that the configuration or --store names.
func (a *app) addresses() ([]string, error) {
	if strings.Contains(a.store, ":") {
		return []string{a.store}, nil
	}
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range c.Stores {
		out = append(out, s.Reference())
	}
	return out, nil
}
