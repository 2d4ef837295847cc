package manifest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"offsite/providers"
)

// Canaries show whether the store keeps what is leased and removes what has
// lapsed: every run leaves two tiny objects that nothing needs, one leased
// shortly and one for a month. The short one goes first, so that where the long
// one stands, the short one has stood.
const (
	ShortCanary = 2 * 24 * time.Hour
	LongCanary  = 30 * 24 * time.Hour

	// canaryGrace is how long after its lease a canary may stand: removal rules run
	// once a day, and services promise no hour.
	canaryGrace = 3 * 24 * time.Hour
)

// CanaryKeys are where the canaries of the run stand that committed seq of a source.
func CanaryKeys(source string, seq uint64) (short, long string) {
	base := strings.Replace(RecordKey(source, seq), RecordPrefix, providers.CanaryPrefix, 1)
	return base + "-short", base + "-long"
}

// LeaveCanaries stores the canaries of a run.
func LeaveCanaries(ctx context.Context, store *providers.Store, source string, seq uint64, now time.Time) error {
	short, long := CanaryKeys(source, seq)
	for _, c := range []struct {
		key   string
		lease time.Duration
	}{{short, ShortCanary}, {long, LongCanary}} {
		if _, err := store.Create(ctx, c.key, []byte("offsite canary "+c.key+"\n"), now.Add(c.lease)); err != nil {
			return fmt.Errorf("leave canary: %w", err)
		}
	}
	return nil
}

// CanaryReport is what the canaries show.
type CanaryReport struct {
	// Removed is the last lapse of a short canary that is gone while its long
	// sibling stands: removal, and keeping, have been seen to work. Zero: not yet.
	Removed time.Time
	Gone    int // short canaries that lapsed and are gone, their sibling standing
	Overdue int // short canaries that lapsed days ago and still stand
	Kept    int // long canaries that stand as they must
	// Missing are long canaries that should stand and do not: never written, or
	// removed under their lease.
	Missing int
}

// Canaries looks at what became of the canaries of committed snapshots. now is the
// store's time; soonest is the age below which the store removes nothing, whatever
// its lease.
func Canaries(ctx context.Context, store *providers.Store, refs []Ref, now time.Time, soonest time.Duration) (CanaryReport, error) {
	var r CanaryReport
	stands := make(map[string]bool)
	for o, err := range store.List(ctx, providers.CanaryPrefix, "") {
		if err != nil {
			return r, fmt.Errorf("list canaries: %w", err)
		}
		stands[o.Key] = true
	}
	for _, ref := range refs {
		short, long := CanaryKeys(ref.Record.Source, ref.Record.Seq)
		lapse := ref.Record.Time.Add(max(ShortCanary, soonest))
		switch {
		case stands[long]:
			r.Kept++
		case now.Before(ref.Record.Time.Add(LongCanary)):
			r.Missing++
		}
		switch {
		case stands[short] && now.After(lapse.Add(canaryGrace)):
			r.Overdue++
		case !stands[short] && stands[long] && now.After(lapse):
			r.Gone++
			if lapse.After(r.Removed) {
				r.Removed = lapse
			}
		}
	}
	return r, nil
}
