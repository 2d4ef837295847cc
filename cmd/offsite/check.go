package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
)

// checkAnswer says what was checked. It holds keys of objects, no names of files.
type checkAnswer struct {
	Store    string         `json:"store"`
	Depth    string         `json:"depth"`
	Days     int            `json:"days"`
	Packs    int            `json:"packs"`
	Segments int            `json:"segments"`
	Bytes    int64          `json:"bytes"`
	Findings []checkFinding `json:"findings"`
	Broken   []string       `json:"broken"` // days that cannot be restored in full
	Seconds  float64        `json:"seconds"`
}

type checkFinding struct {
	Key     string   `json:"key"`
	Problem string   `json:"problem"`
	Days    []string `json:"days"` // that need the object
}

func (c checkAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s: %d days, %d packs, %d index segments checked (%s)", c.Store, c.Days, c.Packs, c.Segments, c.Depth)
	if c.Bytes > 0 {
		fmt.Fprintf(w, ", %s read in %s", bytesText(c.Bytes), time.Duration(c.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	}
	fmt.Fprintln(w)
	for _, f := range c.Findings {
		fmt.Fprintf(w, "  %s: %s\n", f.Key, f.Problem)
	}
	switch {
	case len(c.Broken) > 0:
		for _, d := range c.Broken {
			fmt.Fprintf(w, "  %s cannot be restored in full\n", d)
		}
	case len(c.Findings) == 0 && c.Days > 0:
		fmt.Fprintln(w, "all is well")
	}
}

func (a *app) checkVerb() verb {
	var unlock keyFlags
	depth := "objects"
	note := false
	return verb{
		use: "check [--depth records|objects|bytes]", short: "examine what a store holds, without changing it",
		long: `records: every record is signed and follows the one before it. objects: every
object that a record names is there, in its size and with its lease. bytes: every
stored byte is fetched, opened and compared with its name; this needs the
restore key. With --note the store is told that the days that are whole were
checked, which ends the keeping of runners-up.`,
		example: "  offsite check\n  offsite check --depth bytes --restore-key restore.key --store nas",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&depth, "depth", depth, "how deep to look: `DEPTH` is records, objects or bytes")
			f.BoolVar(&note, "note", false, "write down in the store which days were checked, byte for byte")
			unlock.add(f)
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			d, err := restore.ParseDepth(depth)
			if err != nil {
				return nil, wrongUse("--depth: "+quoted(depth)+" is not a depth", "write records, objects or bytes")
			}
			if note && d != restore.Bytes {
				return nil, wrongUse("--note says that every byte was read", "add --depth bytes")
			}
			return a.check(ctx, d, &unlock, note)
		},
	}
}

func (a *app) check(ctx context.Context, depth restore.Depth, unlock *keyFlags, note bool) (answer, error) {
	if depth != restore.Bytes {
		unlock = nil
	}
	l, err := a.openLibrary(ctx, unlock)
	if err != nil {
		return nil, err
	}
	bar := a.newBar("checking")
	opt := restore.CheckOptions{Depth: depth, Source: l.source, Progress: bar.restoring()}
	if unlock != nil {
		opt.Opener = l.key.Opener()
	}
	keys, err := a.checkKeys(ctx, l, &opt)
	if err != nil {
		return nil, err
	}
	h, err := a.history(ctx, l)
	if err != nil {
		return nil, err
	}
	start := a.now()
	report, err := restore.Check(ctx, l.store, l.trust, opt)
	bar.done()
	if err != nil && !errors.Is(err, restore.ErrDamagedStore) {
		return nil, err
	}
	ans := checkAnswer{Store: l.name, Depth: depth.String(), Days: report.Snapshots, Packs: report.Packs, Segments: report.Segments,
		Bytes: report.Bytes, Findings: []checkFinding{}, Broken: h.names(report.Broken), Seconds: a.now().Sub(start).Seconds()}
	ans.Findings = append(ans.Findings, keys...)
	for _, f := range report.Findings {
		ans.Findings = append(ans.Findings, checkFinding{Key: f.Key, Problem: f.Err.Error(), Days: h.names(f.Snapshots)})
	}
	if note {
		if err := a.noteChecked(ctx, l, h, report.Broken); err != nil {
			return ans, err
		}
	}
	if len(ans.Findings) > 0 {
		return ans, fail(exitDamaged, fmt.Errorf("%d objects of store %s are not as they must be", len(ans.Findings), l.name),
			"offsite run --read-all stores again what the practice still has")
	}
	return ans, nil
}

// checkKeys looks at what stands beside the backups: the enrolments, the holders'
// files and, with the restore key, the naming secrets.
func (a *app) checkKeys(ctx context.Context, l *library, opt *restore.CheckOptions) ([]checkFinding, error) {
	var out []checkFinding
	find := func(key, problem string) {
		out = append(out, checkFinding{Key: key, Problem: problem, Days: []string{}})
	}
	for _, d := range l.trust.Refused() {
		find(d.Key, d.Err.Error())
	}
	holders, err := holdersOf(ctx, l)
	if err != nil {
		return nil, err
	}
	for _, id := range holders.Damaged {
		find(manifest.HolderKey(id), "the file is not what it was: this holder cannot unlock the restore key")
	}
	if l.key == nil {
		return out, nil
	}
	secrets, err := openSecrets(ctx, l)
	switch {
	case err == nil:
		opt.Namer = secrets.Namer()
	// The header has shown that the key is the right one.
	case errors.Is(err, seal.ErrNotForThisKey), errors.Is(err, seal.ErrDamaged), errors.Is(err, seal.ErrSignature),
		errors.Is(err, seal.ErrUntrustedSigner), providers.KindOf(err) == providers.ErrNotExist:
		find(manifest.SecretsKey, err.Error())
	default:
		return nil, err
	}
	return out, nil
}

// openSecrets opens the naming secrets, with which chunks are compared.
func openSecrets(ctx context.Context, l *library) (seal.Secrets, error) {
	sealed, err := l.store.Read(ctx, manifest.SecretsKey, "")
	if err != nil {
		return seal.Secrets{}, fmt.Errorf("read naming secrets: %w", err)
	}
	return l.key.OpenSecrets(sealed, l.header.Repository)
}

// names turns the keys of records into days. A record that cannot be read has no
// day and keeps its key.
func (h history) names(keys []string) []string {
	days := map[string]string{}
	for _, d := range h.Days {
		days[d.ref.Key] = d.Day
	}
	out := []string{}
	for _, k := range keys {
		if d, ok := days[k]; ok {
			k = d
		}
		out = append(out, k)
	}
	return out
}
