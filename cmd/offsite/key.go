package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/manifest/seal/sheet"
	"offsite/providers"
)

// keyVerbs are the verbs below key.
func (a *app) keyVerbs(keep func(answer)) *cobra.Command {
	key := group("key", "look after the restore key and who can unlock it", keep, a.keySheetVerb())
	key.AddCommand(group("holders", "the recovery holders, who can unlock the restore key", keep, a.holdersListVerb(), a.holdersAddVerb()))
	return key
}

type holdersAnswer struct {
	Store   string        `json:"store"`
	Holders []holderShort `json:"holders"`
}

func (h holdersAnswer) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOLDER\tUNLOCKS WITH")
	for _, one := range h.Holders {
		fmt.Fprintf(t, "%s\t%s\n", one.ID, unlocksWith(one))
	}
	t.Flush()
}

func unlocksWith(h holderShort) string {
	with := map[string]string{
		"passphrase": "a passphrase", "age": "an age key", "ssh": "an ssh key", "plugin": "hardware, through an age plug-in",
	}[h.Kind]
	if !h.PostQuantum {
		with += " (a future quantum computer may open it)"
	}
	return with
}

func (a *app) holdersListVerb() verb {
	return verb{
		use: "list", short: "list who can unlock the restore key",
		example: "  offsite key holders list",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		run: func(ctx context.Context, _ []string) (answer, error) {
			l, err := a.openLibrary(ctx, nil)
			if err != nil {
				return nil, err
			}
			holders, err := holdersOf(ctx, l)
			if err != nil {
				return nil, err
			}
			return holdersAnswer{Store: l.name, Holders: holders}, nil
		},
	}
}

// holdersOf reads the holders of a store.
func holdersOf(ctx context.Context, l *library) ([]holderShort, error) {
	ids, err := manifest.ListHolders(ctx, l.store)
	if err != nil {
		return nil, err
	}
	out := []holderShort{}
	for _, id := range ids {
		sealed, err := l.store.Read(ctx, manifest.HolderKey(id), "")
		if err != nil {
			return nil, fmt.Errorf("read holder %s: %w", id, err)
		}
		kind, strong := holderKind(sealed)
		out = append(out, holderShort{ID: id, Kind: kind, PostQuantum: strong})
	}
	return out, nil
}

// holderKind tells from the head of an age file how it is unlocked. The file
// itself is the witness; an id is only a name.
func holderKind(sealed []byte) (kind string, postQuantum bool) {
	_, rest, _ := strings.Cut(string(sealed[:min(len(sealed), 200)]), "\n-> ")
	stanza, _, _ := strings.Cut(rest, " ")
	switch {
	case stanza == "scrypt":
		return string(seal.KindPassphrase), true
	case stanza == "mlkem768x25519":
		return string(seal.KindAge), true
	case stanza == "X25519":
		return string(seal.KindAge), false
	case strings.HasPrefix(stanza, "ssh-"):
		return string(seal.KindSSH), false
	}
	return string(seal.KindPlugin), false
}

type holderAddAnswer struct {
	Holder holderShort `json:"holder"`
	Stores []string    `json:"stores"`
}

func (h holderAddAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s can now unlock the restore key in %s.\n", h.Holder.ID, strings.Join(h.Stores, ", "))
}

func (a *app) holdersAddVerb() verb {
	var unlock keyFlags
	var newFile string
	return verb{
		use:   "add [KEY]",
		short: "let one more recovery holder unlock the restore key",
		long: `KEY is the new holder's public key: age1..., or an ssh-... line in quotes. Without
it the new holder has a passphrase. A present holder must unlock the restore key.`,
		example: `  offsite key holders add age1pq1... --recovery-passphrase-file passphrase.txt
  offsite key holders add --new-passphrase-file new.txt --restore-key restore.key`,
		exits: []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) > 1 {
				return wrongUse("add takes one key, but there are more", "put an ssh key in quotes")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&newFile, "new-passphrase-file", "", "a `FILE` with the new holder's passphrase")
			unlock.add(f)
		},
		run: func(ctx context.Context, args []string) (answer, error) {
			f := initFlags{passphraseFile: newFile, holders: args}
			if newFile != "" && len(args) > 0 {
				return nil, wrongUse("a holder has a key or a passphrase, not both")
			}
			return a.addHolder(ctx, f, &unlock)
		},
	}
}

// addHolder seals the restore key to a new holder, in every chosen store.
func (a *app) addHolder(ctx context.Context, f initFlags, unlock *keyFlags) (answer, error) {
	holders, err := a.newHolders(f)
	if err != nil {
		return nil, err
	}
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	chosen, err := a.chosenStores(c)
	if err != nil {
		return nil, err
	}
	// Every store is opened before any is changed, and the key must fit them all.
	var stores []*providers.Store
	var restore *seal.RestoreKey
	for _, s := range chosen {
		store, err := openAddress(s.Name, s.Address)
		if err != nil {
			return nil, err
		}
		if restore == nil {
			if restore, err = a.restoreKey(ctx, store, unlock); err != nil {
				return nil, err
			}
		}
		if _, err := manifest.OpenHeader(ctx, store, restore.Owner().Public()); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.Name, err)
		}
		stores = append(stores, store)
	}
	h := holders[0]
	sealed, err := seal.SealToHolder(restore, h)
	if err != nil {
		return nil, err
	}
	ans := holderAddAnswer{Holder: holderShort{ID: newHolderID(h), Kind: string(h.Kind), PostQuantum: h.PostQuantum}}
	for i, store := range stores {
		// Key objects never lapse: they stand outside what a store removes.
		if _, err := store.Create(ctx, manifest.HolderKey(ans.Holder.ID), sealed, time.Time{}); err != nil {
			return ans, fmt.Errorf("store %s: %w", chosen[i].Name, err)
		}
		ans.Stores = append(ans.Stores, chosen[i].Name)
	}
	return ans, nil
}

func newHolderID(h seal.Holder) string { return string(h.Kind) + "-" + seal.NewID()[:8] }

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
	for _, h := range holders {
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
		out = append(out, s.Address.String())
	}
	return out, nil
}
