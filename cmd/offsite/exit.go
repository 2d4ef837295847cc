package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/uploader"
	"offsite/uploader/source"
)

// Exit codes. Schedulers and scripts rely on them; a number never changes its
// meaning.
const (
	exitDone       = 0 // what was asked is done
	exitFailed     = 1 // it failed, for a reason that no other code names
	exitUsage      = 2 // the command line, the configuration or a given key is wrong
	exitIncomplete = 3 // the set is incomplete; nothing was committed
	exitSuspect    = 4 // committed, but the set is suspect
	exitStore      = 5 // a store is unreachable or refused
	exitDamaged    = 6 // stored data is damaged
	exitTooOld     = 7 // the newest clean day is too old
	exitNothingNew = 8 // nothing new to store
)

// exitMeaning is what help and error reports say of a code.
var exitMeaning = map[int]string{
	exitDone:       "done",
	exitFailed:     "failed",
	exitUsage:      "wrong usage or configuration",
	exitIncomplete: "the set is incomplete; nothing was committed",
	exitSuspect:    "committed, but suspect",
	exitStore:      "a store is unreachable or refused",
	exitDamaged:    "stored data is damaged",
	exitTooOld:     "the newest clean day is too old",
	exitNothingNew: "nothing new",
}

// failure is an error with its exit code and hints, for what no kind tells.
type failure struct {
	exit  int
	err   error
	hints []string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure. Without an error the code is the answer's alone: nothing
// is printed but the answer.
func fail(exit int, err error, hints ...string) error {
	return &failure{exit: exit, err: err, hints: hints}
}

// wrongUse reports a mistake of the command line.
func wrongUse(problem string, hints ...string) error {
	return fail(exitUsage, errors.New(problem), hints...)
}

// verdictOnly carries an exit code beside an answer that says everything.
type verdictOnly int

func (v verdictOnly) Error() string { return exitMeaning[int(v)] }

// kinds maps what packages report to exit codes and to what a person can do. The
// first match counts.
var kinds = []struct {
	kind error
	exit int
	hint string
}{
	{context.Canceled, exitFailed, "stopped before it was done; the next run continues"},
	{uploader.ErrUnsettled, exitIncomplete, "the backup was written to while it was read: run again when it has finished"},
	{uploader.ErrIncomplete, exitIncomplete, "the findings say what is missing; nothing was committed"},
	{uploader.ErrUnreadable, exitIncomplete, "close the program that holds the files, or give this user the right to read them"},
	{uploader.ErrRunning, exitFailed, "let it finish; it does the same work"},
	{providers.ErrUnreachable, exitStore, "is the disk connected, or the network up? nothing stored is lost"},
	{providers.ErrBusy, exitStore, "the store asks to be left alone for a while: try again later"},
	{providers.ErrInDoubt, exitStore, "the outcome of a write is unknown: run again, which finds out"},
	{providers.ErrDenied, exitStore, "the store's credentials or its policy refuse this"},
	{providers.ErrFull, exitStore, "make room at the store, or use another one"},
	{providers.ErrHeld, exitStore, ""},
	{providers.ErrCold, exitStore, "thaw the objects at the provider first"},
	{manifest.ErrNoStore, exitStore, "is the address right, and the disk the right one? offsite init makes a new store"},
	{manifest.ErrOtherStore, exitStore, "is the address right, and the disk the right one? nothing was changed: the key used here belongs to another practice"},
	{uploader.ErrNotEnrolled, exitStore, "the owner never enrolled this PC there: offsite init --join makes it one of the practice"},
	{manifest.ErrNoHolder, exitUsage, "offsite key holders list shows the holders; the recovery sheet has the restore key itself: --restore-key FILE"},
	{manifest.ErrLastHolder, exitUsage, "add another one first: offsite key holders add"},
	{manifest.ErrRace, exitFailed, "another offsite works on the same source: let one finish, then run again"},
	{manifest.ErrShortLease, exitFailed, ""},
	{seal.ErrWrongPassphrase, exitUsage, "mind capitals and the keyboard layout, or use another holder's way in"},
	{seal.ErrNotForThisKey, exitUsage, "this key does not belong to this store"},
	{seal.ErrKeyFileOpen, exitUsage, "let only its owner read it: chmod 600"},
	{seal.ErrKeyText, exitUsage, ""},
	{seal.ErrProof, exitFailed, "this computer makes mistakes: test its memory before it saves anything"},
	{seal.ErrUntrustedSigner, exitDamaged, "somebody wrote to the store who is not enrolled"},
	{seal.ErrSignature, exitDamaged, "what is stored was changed; other days may be well: offsite check"},
	{seal.ErrDamaged, exitDamaged, "other days may be well: offsite check"},
	{pack.ErrDamaged, exitDamaged, "other days may be well: offsite check"},
	{pack.ErrVersion, exitDamaged, "a newer offsite may read it"},
	{providers.ErrCorrupt, exitDamaged, "other days may be well: offsite check"},
	{providers.ErrConflict, exitDamaged, "what is stored differs from what was expected: offsite check"},
	{providers.ErrRange, exitDamaged, "other days may be well: offsite check"},
	{source.ErrLive, exitUsage, ""},
	{source.ErrRootOverlap, exitUsage, ""},
	{source.ErrRootName, exitUsage, ""},
	{source.ErrRootNotFolder, exitUsage, ""},
	{source.ErrRootLink, exitUsage, ""},
	{source.ErrTooLarge, exitUsage, "name the folder of the backup, not the whole disk"},
	{source.ErrDisk, exitIncomplete, "connect the right disk, or name this one under source.disks: offsite doctor shows its serial number"},
	{source.ErrNoSets, exitIncomplete, "did the backup run, and is source.layout the right one? offsite doctor says what the folder looks like"},
	{source.ErrNoFull, exitIncomplete, "let the backup program make a full backup"},
	{source.ErrRootMissing, exitIncomplete, "is the disk connected, and did the backup run?"},
	{source.ErrRootEmpty, exitIncomplete, "did the backup run?"},
	{source.ErrRootUnreadable, exitIncomplete, "run offsite as a user that may read the folder"},
	{source.ErrOpen, exitIncomplete, "name the folder of the finished backup, not that of the running program; if it is right, look what holds the files open"},
	{source.ErrRestless, exitIncomplete, "name the folder of the finished backup, not that of the running program"},
	{source.ErrNotSettled, exitIncomplete, "the backup is still being written, or hangs: look at the practice system"},
	{source.ErrChanged, exitIncomplete, "the backup was written to while it was read: run again when it has finished"},
	// What kept every store from taking the backup says more, and stands above.
	{uploader.ErrStores, exitStore, "is the disk connected, or the network up? nothing stored is lost"},
}

// judge returns the exit code and the hints for an error.
func judge(err error) (exit int, hints []string) {
	if err == nil {
		return exitDone, nil
	}
	var only verdictOnly
	if errors.As(err, &only) {
		return int(only), nil
	}
	var f *failure
	if errors.As(err, &f) {
		if f.exit != 0 {
			return f.exit, f.hints
		}
	}
	var mistakes config.Errors
	if errors.As(err, &mistakes) {
		return exitUsage, nil // each mistake brings its own hint
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			if k.hint != "" {
				hints = append(hints, k.hint)
			}
			return k.exit, hints
		}
	}
	if kind := providers.KindOf(err); kind == providers.ErrNotExist {
		return exitDamaged, []string{"an object is missing: offsite check says what is affected"}
	}
	if errors.Is(err, fs.ErrPermission) {
		return exitFailed, []string{"this user may not do that: run it as an administrator, or name other places"}
	}
	return exitFailed, nil
}

// exitList writes the codes of a verb for its help.
func exitList(codes []int) string {
	var s string
	for _, c := range codes {
		s += fmt.Sprintf("  %d  %s\n", c, exitMeaning[c])
	}
	return s
}
