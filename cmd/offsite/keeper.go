package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest/keep"
	"offsite/manifest/seal"
	"offsite/uploader/statefile"
)

// keeper is a store opened for the verbs that see to what lapses: sweep and manage.
type keeper struct {
	*library
	app    *app
	block  config.Store
	config *config.Config  // nil: the store was named by its address
	upload *seal.UploadKey // nil: there is none, or the store does not know it
}

// openKeeper opens the one store that --store names, with other credentials than its
// block's if any are given. Several are not seen to at once: each has its own.
func (a *app) openKeeper(ctx context.Context, with string) (*keeper, error) {
	block, c, err := a.readFrom()
	if err != nil {
		return nil, err
	}
	if c != nil && a.store == "" && len(c.Stores) > 1 {
		return nil, wrongUse("the configuration has several stores", "name one with --store NAME, and give each its own schedule")
	}
	l, err := a.openLibraryAt(ctx, block, with, c, nil)
	if err != nil {
		return nil, err
	}
	k := &keeper{library: l, app: a, block: block, config: c}
	if c != nil {
		if key, err := loadUploadKey(c); err == nil {
			k.signAs(key)
		}
	}
	return k, nil
}

// signAs lets a PC sign what is written down, if the store knows it.
func (k *keeper) signAs(key *seal.UploadKey) {
	if k.trust.Enrolled(key.PC, key.Public()) {
		k.upload = key
	}
}

// agreed is the time by which things lapse, on which both clocks agree.
func (k *keeper) agreed(ctx context.Context) (time.Time, error) {
	theirs, err := k.store.Time(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask store %s for the time: %w", k.name, err)
	}
	now, err := keep.Now(theirs, k.app.now())
	if err != nil {
		return time.Time{}, fail(exitFailed, fmt.Errorf("%w; nothing is removed", err), "set this computer's clock, or that of the store")
	}
	return now, nil
}

// log is the store's destruction log, as this computer writes it.
func (k *keeper) log() *keep.Log {
	l := &keep.Log{Store: k.store, Trust: k.trust, Repository: k.header.Repository}
	if k.upload != nil {
		l.PC, l.Key = k.upload.PC, k.upload.Signing
	}
	return l
}

// look compares a store that removes by its own rules with what was there before.
func (k *keeper) look(ctx context.Context, e *keep.Evidence, ans *sweepAnswer) error {
	before, err := k.remembered(seenFile)
	if err != nil {
		return err
	}
	gone := e.Missing(before, *ans.Time)
	fresh := before.Fresh(gone)
	ans.Gone, ans.Early = len(fresh), append([]keep.Mention{}, keep.Early(gone)...)
	if !ans.yes {
		return ans.alarm(k.name)
	}
	log := k.log()
	for _, entry := range keep.LookEntries(fresh, *ans.Time) {
		if _, err := log.Append(ctx, entry); err != nil {
			return err
		}
	}
	// Only now: a look that was not written down is made again.
	if err := k.remember(seenFile, e.After(gone)); err != nil {
		return err
	}
	if len(fresh) > 0 {
		if err := k.noteHead(ctx, nil); err != nil {
			return err
		}
	}
	return ans.alarm(k.name)
}

// Files in the state folder of one store.
const (
	seenFile   = "seen"   // what the last look saw
	raisedFile = "raised" // what a manager raised
	headFile   = "log"    // the newest entry of the destruction log that was seen
)

// path is where the local state of the store stands; empty without a configuration.
func (k *keeper) path(name string) string {
	if k.config == nil {
		return ""
	}
	return filepath.Join(string(k.config.State), "stores", k.name, name)
}

// read returns a file of the local state, nil if there is none.
func (k *keeper) read(name string) ([]byte, error) {
	if k.config == nil {
		return nil, nil
	}
	data, err := os.ReadFile(k.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read local state: %w", err)
	}
	return data, nil
}

// write replaces a file of the local state, whole or not at all.
func (k *keeper) write(name string, data []byte) error {
	if k.config == nil {
		return nil
	}
	path := k.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if err := statefile.Replace(path, data); err != nil {
		return fmt.Errorf("write local state: %w", err)
	}
	return nil
}

// remembered reads a memory. A damaged one is as good as none, and is told.
func (k *keeper) remembered(name string) (keep.Memory, error) {
	data, err := k.read(name)
	if err != nil || data == nil {
		return keep.Memory{}, err
	}
	m, err := keep.DecodeMemory(data, k.header.Repository)
	if err != nil {
		k.app.say("%v; what it knew is lost", err)
		return keep.Memory{}, nil
	}
	return m, nil
}

func (k *keeper) remember(name string, m keep.Memory) error {
	return k.write(name, m.Encode(k.header.Repository))
}

// noteHead remembers the newest entry of the log, so that it is noticed if the end
// of the log is cut off.
func (k *keeper) noteHead(ctx context.Context, ans *removedAnswer) error {
	last, err := k.log().Last(context.WithoutCancel(ctx))
	if err != nil || last.Key == "" {
		return err
	}
	if ans != nil {
		ans.Log, ans.Digest = last.Key, last.Digest
	}
	return k.write(headFile, []byte(k.header.Repository+" "+last.Key+" "+last.Digest+"\n"))
}

// logAnswer is the destruction log.
type logAnswer struct {
	Store    string     `json:"store"`
	Entries  []logEntry `json:"entries"`
	Problems []string   `json:"problems"`

	zone *time.Location
}

type logEntry struct {
	Key     string      `json:"key"`
	Digest  string      `json:"digest"`
	Signed  bool        `json:"signed"`
	Problem string      `json:"problem,omitempty"`
	Entry   *keep.Entry `json:"entry"` // null: it cannot be read
}

func (l logAnswer) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(l.Entries) > 0 {
		fmt.Fprintln(t, "ENTRY\tTIME\tKIND\tOBJECTS\tSIZE\tSIGNED BY")
	} else {
		fmt.Fprintln(w, "Nothing was ever removed.")
	}
	for _, n := range l.Entries {
		if n.Entry == nil {
			fmt.Fprintf(t, "%s\t\tcannot be read\t\t\t\n", n.Key)
			continue
		}
		by, count := n.Entry.PC, len(n.Entry.Objects)
		if !n.Signed {
			by = "nobody"
		}
		kind := n.Entry.Kind
		if kind == keep.Outcome {
			kind, count = fmt.Sprintf("outcome of %d", n.Entry.Of), int(n.Entry.Removed)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", n.Key, n.Entry.Time.In(l.zone).Format("2006-01-02 15:04"), kind, count, bytesText(n.Entry.Bytes), by)
	}
	t.Flush()
	for _, p := range l.Problems {
		fmt.Fprintf(w, "PROBLEM: %s\n", p)
	}
}

// printLog prints the whole log and checks it.
func (k *keeper) printLog(ctx context.Context) (answer, error) {
	entries, err := k.log().Read(ctx)
	if err != nil {
		return nil, err
	}
	ans := logAnswer{Store: k.name, Entries: []logEntry{}, Problems: []string{}, zone: k.zone}
	digests := make(map[string]bool)
	for _, n := range entries {
		e := logEntry{Key: n.Key, Digest: n.Digest, Signed: n.Signed}
		if n.Kind != "" {
			e.Entry = &n.Entry
		}
		if n.Problem != nil {
			e.Problem = n.Problem.Error()
			ans.Problems = append(ans.Problems, n.Key+": "+e.Problem)
		}
		digests[n.Digest] = true
		ans.Entries = append(ans.Entries, e)
	}
	head, err := k.read(headFile)
	if err != nil {
		return nil, err
	}
	var repository, key, digest string
	if n, _ := fmt.Sscan(string(head), &repository, &key, &digest); n == 3 && repository == k.header.Repository && !digests[digest] {
		ans.Problems = append(ans.Problems, key+": this computer has seen it, and it is gone or changed")
	}
	if len(ans.Problems) > 0 {
		return ans, fail(exitDamaged, fmt.Errorf("the destruction log of store %s is not as it was written", k.name), "somebody wrote to the store who should not")
	}
	return ans, nil
}
