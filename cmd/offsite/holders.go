package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
)

type holdersAnswer struct {
	Store   string          `json:"store"`
	Holders []holderShort   `json:"holders"`
	Removed []holderRemoved `json:"removed"`
	Damaged []string        `json:"damaged"` // ids under which stands no holder's file
}

type holderRemoved struct {
	ID      string    `json:"id"`
	Removed time.Time `json:"removed"`
}

func (h holdersAnswer) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOLDER\tUNLOCKS WITH")
	for _, one := range h.Holders {
		fmt.Fprintf(t, "%s\t%s\n", one.ID, unlocksWith(one))
	}
	for _, one := range h.Removed {
		fmt.Fprintf(t, "%s\tnothing: removed on %s\n", one.ID, one.Removed.Format(time.DateOnly))
	}
	for _, id := range h.Damaged {
		fmt.Fprintf(t, "%s\tnothing: the file is damaged\n", id)
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
		long: `A holder's file in the store is the witness: anybody who may write to the store
can add a file, but none that opens anything. Only the owner can remove a holder.`,
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
			if n := len(holders.Damaged); n > 0 {
				return holders, fail(exitDamaged, fmt.Errorf("%d of the holders' files: %w", n, seal.ErrDamaged),
					"nobody removed these holders: add them anew with offsite key holders add, and remove the damaged ones")
			}
			return holders, nil
		},
	}
}

// holdersOf reads the holders of a store.
func holdersOf(ctx context.Context, l *library) (holdersAnswer, error) {
	ans := holdersAnswer{Store: l.name, Holders: []holderShort{}, Removed: []holderRemoved{}, Damaged: []string{}}
	owner, err := l.header.OwnerKey()
	if err != nil {
		return ans, err
	}
	holders, err := manifest.LoadHolders(ctx, l.store, l.header.Repository, owner)
	if err != nil {
		return ans, err
	}
	for _, h := range holders {
		switch {
		case h.Present() && spoilt(h), h.Damage != nil:
			ans.Damaged = append(ans.Damaged, h.ID)
		case h.Present():
			kind, strong := holderKind(h.Sealed)
			ans.Holders = append(ans.Holders, holderShort{ID: h.ID, Kind: kind, PostQuantum: strong})
		default:
			ans.Removed = append(ans.Removed, holderRemoved{h.ID, h.Removed})
		}
	}
	return ans, nil
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
	if len(h.Stores) > 0 {
		fmt.Fprintf(w, "%s can now unlock the restore key in %s.\n", h.Holder.ID, strings.Join(h.Stores, ", "))
	}
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
	stores, restore, err := a.ownedStores(ctx, unlock)
	if err != nil {
		return nil, err
	}
	h := holders[0]
	sealed, err := seal.SealToHolder(restore, h)
	if err != nil {
		return nil, err
	}
	ans := holderAddAnswer{Holder: holderShort{ID: newHolderID(h, sealed), Kind: string(h.Kind), PostQuantum: h.PostQuantum}, Stores: []string{}}
	for _, s := range stores {
		// Key objects never lapse: they stand outside what a store removes.
		if _, err := s.store.Create(ctx, manifest.HolderKey(ans.Holder.ID), sealed, time.Time{}); err != nil {
			return ans, fmt.Errorf("store %s: %w", s.name, err)
		}
		ans.Stores = append(ans.Stores, s.name)
	}
	return ans, nil
}

// newHolderID names a holder's file by its bytes, so that it can be seen without
// the holder whether it still is what it was.
func newHolderID(h seal.Holder, sealed []byte) string {
	return string(h.Kind) + "-" + holderSum(sealed)
}

func holderSum(sealed []byte) string {
	sum := sha256.Sum256(sealed)
	return hex.EncodeToString(sum[:4])
}

// spoilt says whether a holder's file has other bytes than its name says.
func spoilt(h manifest.Holder) bool { return !strings.HasSuffix(h.ID, "-"+holderSum(h.Sealed)) }

// owned is a store whose header the owner key at hand signed.
type owned struct {
	name   string
	store  *providers.Store
	header manifest.Header
}

// ownedStores opens every chosen store, and the restore key that fits them all,
// before any of them is changed.
func (a *app) ownedStores(ctx context.Context, unlock *keyFlags) ([]owned, *seal.RestoreKey, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	chosen, err := a.chosenStores(c)
	if err != nil {
		return nil, nil, err
	}
	var stores []owned
	for _, s := range chosen {
		store, err := a.openStoreWith(ctx, s, unlock.with)
		if err != nil {
			return nil, nil, err
		}
		stores = append(stores, owned{name: s.Name, store: store})
	}
	restore, err := a.unlockStores(ctx, stores, unlock)
	return stores, restore, err
}

// unlockStores gets the restore key with the help of the first store and fills in
// the headers of all.
func (a *app) unlockStores(ctx context.Context, stores []owned, unlock *keyFlags) (*seal.RestoreKey, error) {
	if len(stores) == 0 {
		return nil, fail(exitStore, errors.New("no store is configured"))
	}
	restore, err := a.restoreKey(ctx, stores[0].store, unlock)
	if err != nil {
		return nil, err
	}
	owner := restore.Owner().Public()
	for i := range stores {
		s := &stores[i]
		if s.header, err = manifest.OpenHeader(ctx, s.store, owner); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.name, err)
		}
		if s.header.Repository != stores[0].header.Repository {
			return nil, fmt.Errorf("store %s: %w", s.name, manifest.ErrOtherStore)
		}
	}
	return restore, nil
}

type holderRemoveAnswer struct {
	Holder string   `json:"holder"`
	Stores []string `json:"stores"`
}

func (h holderRemoveAnswer) text(w io.Writer) {
	if len(h.Stores) == 0 {
		return
	}
	fmt.Fprintf(w, `%s is removed: the file is gone from %s.

This shuts nobody out who has what it held. Whoever kept a copy of the file, or
can read old versions that a store keeps, still unlocks the restore key with it.
Only a new restore key excludes them: offsite init, with new stores.
`, h.Holder, strings.Join(h.Stores, ", "))
}

func (a *app) holdersRemoveVerb() verb {
	var unlock keyFlags
	return verb{
		use:   "remove ID",
		short: "take a recovery holder's file out of the stores",
		long: `ID is as offsite key holders list shows it. A note that the owner signed takes the
file's place; a holder must unlock the restore key for that. The last holder
stays. A copy of the old file still works: to exclude somebody for certain, make a
new restore key with offsite init and new stores.`,
		example: "  offsite key holders remove age-1f0c22d9 --recovery-passphrase-file passphrase.txt",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) != 1 {
				return wrongUse("remove takes the id of one holder", "offsite key holders list shows the ids")
			}
			return nil
		},
		flags: unlock.add,
		run: func(ctx context.Context, args []string) (answer, error) {
			return a.removeHolder(ctx, args[0], &unlock)
		},
	}
}

// removeHolder removes a holder from every chosen store that has it, or from none
// if one of them would be left without any.
func (a *app) removeHolder(ctx context.Context, id string, unlock *keyFlags) (answer, error) {
	stores, restore, err := a.ownedStores(ctx, unlock)
	if err != nil {
		return nil, err
	}
	owner := restore.Owner()
	var having []owned
	for _, s := range stores {
		holders, err := manifest.LoadHolders(ctx, s.store, s.header.Repository, owner.Public())
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.name, err)
		}
		switch err := manifest.MayRemove(holders, id); {
		case err == nil:
			having = append(having, s)
		case !errors.Is(err, manifest.ErrNoHolder):
			return nil, fmt.Errorf("store %s: %w", s.name, err)
		}
	}
	if len(having) == 0 {
		return nil, fmt.Errorf("remove holder %s: %w", quoted(id), manifest.ErrNoHolder)
	}
	ans := holderRemoveAnswer{Holder: id, Stores: []string{}}
	for _, s := range having {
		if err := manifest.RemoveHolder(ctx, s.store, owner, s.header.Repository, id, a.now()); err != nil {
			return ans, fmt.Errorf("store %s: %w", s.name, err)
		}
		ans.Stores = append(ans.Stores, s.name)
	}
	return ans, nil
}
