package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/seal"
)

// sourceID is how records name a source: from its name in the configuration, by a
// keyed hash, so that the stores do not learn the name, and so that a new PC of
// the practice goes on with the same source.
func sourceID(key *seal.UploadKey, name string) string {
	// No path has a zero byte, so this is never the name of a file.
	h := key.Namer().Path([]byte("source\x00" + name))
	return hex.EncodeToString(h[:8])
}

// snapshot is a committed day as verbs show it.
type snapshot struct {
	Day     string    `json:"day"` // 2026-11-20, or 2026-11-20#2 for its second revision
	Verdict string    `json:"verdict"`
	Time    time.Time `json:"time"`
	Files   int64     `json:"files"`
	Bytes   int64     `json:"bytes"`
	Stored  int64     `json:"stored"` // what this day added to the store
	Until   time.Time `json:"kept_until"`
	Classes []string  `json:"classes"`
	Source  string    `json:"source"`

	ref manifest.Ref
}

// history is what a store holds of a source.
type history struct {
	Store   string     `json:"store"`
	Days    []snapshot `json:"days"` // oldest first
	Damaged []string   `json:"damaged"`

	now  time.Time
	zone *time.Location
}

func (h history) text(w io.Writer) {
	if len(h.Days) == 0 {
		fmt.Fprintln(w, "No day is stored yet.")
	} else {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "DAY\tVERDICT\tFINISHED\tFILES\tSIZE\tADDED\tKEPT UNTIL")
		for _, d := range h.Days {
			until := d.Until.In(h.zone).Format(time.DateOnly)
			if d.Until.Before(h.now) {
				until = "lapsed"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", d.Day, d.Verdict, d.Time.In(h.zone).Format("2006-01-02 15:04"),
				d.Files, bytesText(d.Bytes), bytesText(d.Stored), until)
		}
		t.Flush()
	}
	for _, d := range h.Damaged {
		fmt.Fprintf(w, "damaged: %s\n", d)
	}
}

func (a *app) daysVerb() verb {
	return verb{
		use: "days", short: "list the days that a store holds, and until when each is kept",
		long:    "Needs no restore key: records are signed, and hold no names of files. Why a day\nis kept, offsite retention says.",
		example: "  offsite days\n  offsite days --store dir:/mnt/nas/offsite --json",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		run: func(ctx context.Context, _ []string) (answer, error) {
			l, err := a.openLibrary(ctx, nil)
			if err != nil {
				return nil, err
			}
			h, err := a.history(ctx, l)
			if err != nil {
				return nil, err
			}
			if len(h.Damaged) > 0 {
				return h, verdictOnly(exitDamaged)
			}
			return h, nil
		},
	}
}

// history reads the records of the library's source, or of all sources.
func (a *app) history(ctx context.Context, l *library) (history, error) {
	h := history{Store: l.name, Days: []snapshot{}, Damaged: []string{}, now: a.now(), zone: l.zone}
	refs, bad, err := manifest.List(ctx, l.store, l.trust, l.source, nil)
	if err != nil {
		return h, err
	}
	bad = append(bad, l.trust.Refused()...)
	until := map[string]map[uint64]manifest.SnapshotLease{} // by source
	for _, r := range refs {
		s := r.Record.Source
		if until[s] != nil {
			continue
		}
		leases, _, badLeases, err := manifest.ReadLeases(ctx, l.store, l.trust, s, "")
		if err != nil {
			return h, err
		}
		bad = append(bad, badLeases...)
		until[s] = manifest.Latest(leases)
	}
	for _, r := range refs {
		d := snapshot{
			Day: dayName(r.Record.Date, r.Record.Revision), Verdict: r.Record.Verdict, Time: r.Record.Time.Time,
			Files: r.Record.Counts.Files, Bytes: r.Record.Counts.Bytes, Stored: r.Record.Counts.Stored,
			Until: r.Record.Expiry.Time, Classes: slices.Clone(r.Record.Classes), Source: r.Record.Source, ref: r,
		}
		if more := until[r.Record.Source][r.Record.Seq]; more.Until.After(d.Until) {
			d.Until = more.Until.Time
			if more.Class != "" && !slices.Contains(d.Classes, more.Class) {
				d.Classes = append(d.Classes, more.Class)
			}
		}
		h.Days = append(h.Days, d)
	}
	slices.SortStableFunc(h.Days, func(x, y snapshot) int {
		p, q := x.ref.Record, y.ref.Record
		return cmp.Or(cmp.Compare(p.Date, q.Date), cmp.Compare(p.Source, q.Source), cmp.Compare(p.Revision, q.Revision))
	})
	for _, d := range bad {
		h.Damaged = append(h.Damaged, fmt.Sprintf("%s: %v", d.Key, d.Err))
	}
	return h, nil
}

// dayName writes a day as verbs take it.
func dayName(date string, revision int) string {
	if revision <= 1 {
		return date
	}
	return date + "#" + strconv.Itoa(revision)
}

var dayPattern = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})(?:#([1-9]\d{0,3}))?$`)

// pick finds the snapshot that DAY means: a date, a date and its revision, or
// latest. Without a revision a clean one goes before a suspect one; note says so
// when something newer was passed over.
func (h history) pick(day string) (s snapshot, note string, err error) {
	wanted := h.Days
	if day != "latest" {
		m := dayPattern.FindStringSubmatch(day)
		if m == nil {
			return s, "", wrongUse(quoted(day)+" is not a day", "write latest, a date such as 2026-11-20, or 2026-11-20#2 for its second revision")
		}
		var d config.Date
		if err := d.UnmarshalText([]byte(m[1])); err != nil {
			return s, "", wrongUse(err.Error(), "write latest, or a date such as 2026-11-20")
		}
		wanted = slices.DeleteFunc(slices.Clone(wanted), func(s snapshot) bool {
			return s.ref.Record.Date != m[1] || m[2] != "" && strconv.Itoa(s.ref.Record.Revision) != m[2]
		})
	}
	if len(wanted) == 0 {
		if n := len(h.Damaged); n > 0 {
			return s, "", fail(exitDamaged, fmt.Errorf("there is no record of %s that can be read, and %d objects of the store are damaged", day, n),
				"other days may be well: offsite days lists them, offsite check says more")
		}
		hint := "nothing is stored yet"
		if n := len(h.Days); n > 0 {
			hint = fmt.Sprintf("the days go from %s to %s: offsite days lists them", h.Days[0].Day, h.Days[n-1].Day)
		}
		return s, "", wrongUse("there is no day "+day+" in this store", hint)
	}
	source := wanted[0].Source
	for _, w := range wanted {
		if w.Source != source {
			return s, "", wrongUse("the store holds several sources", "name the one of this configuration with --config FILE")
		}
	}
	last := wanted[len(wanted)-1]
	for i := len(wanted) - 1; i >= 0; i-- {
		if wanted[i].Verdict == manifest.Clean {
			if wanted[i].Day != last.Day {
				note = fmt.Sprintf("%s is newer, but suspect; to use it name it", last.Day)
			}
			return wanted[i], note, nil
		}
	}
	return last, fmt.Sprintf("%s is suspect, and there is no clean one", last.Day), nil
}
