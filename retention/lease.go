package retention

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"time"
)

// Lease returns the lease to ask a store for, for an object that must be kept
// until need: somewhat later, by an amount that depends on the object's name
// alone. Objects of one run thus fall due on different days, and the answer is the same whenever
// it is worked out.
func (p Policy) Lease(need time.Time, name string) time.Time {
	hash := sha256.Sum256([]byte("offsite lease slack\n" + name))
	slack := p.SlackMin
	if spread := int64((p.SlackMax - p.SlackMin) / time.Second); spread > 0 {
		slack += time.Duration(binary.LittleEndian.Uint64(hash[:])%uint64(spread+1)) * time.Second
	}
	// whole seconds, upwards: stores keep no fractions
	return need.Add(slack + time.Second - time.Nanosecond).Truncate(time.Second).UTC()
}

// Reusable says whether an object with this lease may be named by a new snapshot.
// One that is about to lapse could be gone before its lease is raised.
func (p Policy) Reusable(lease, now time.Time) bool { return lease.Sub(now) >= p.Guard }

const (
	// A night raises a fifteenth of all objects, so that a period end, which wants them
	// all raised, is done within a month and costs no night much.
	nightShare = 15
	// urgent is how much of its lease an object has left when it waits no more. Runs
	// may be rare, and the last run that comes in time must find everything done.
	urgent = 30 * day
	// ahead is how far a night with raises to spare looks ahead, so that objects that
	// were stored together need not all be raised together.
	ahead = 14 * day
)

// Nightly is how many leases a run raises, of so many objects, as long as none of
// them is urgent.
func (p Policy) Nightly(objects int) int { return max(p.Night, (objects+nightShare-1)/nightShare) }

// Due is an object that is needed longer than it is leased, or will be soon. Lease
// is when it is too late: when the object lapses, or before that a snapshot which
// waits for it.
type Due struct {
	Name        string
	Lease, Need time.Time
}

// Due returns the objects that must be raised, or soon will, each with the latest
// need of any snapshot. objects returns the names of what a snapshot needs, with
// the leases they have.
func (p Plan) Due(objects func(id string) iter.Seq2[string, time.Time]) []Due {
	due := map[string]Due{}
	note := func(id string, need, until time.Time) {
		for name, lease := range objects(id) {
			if !lease.Before(need) {
				continue
			}
			if until.Before(lease) && !until.IsZero() {
				lease = until
			}
			d, ok := due[name]
			if !ok || lease.Before(d.Lease) {
				d.Lease = lease
			}
			if need.After(d.Need) {
				d.Need = need
			}
			d.Name = name
			due[name] = d
		}
	}
	if i := slices.IndexFunc(p.kept, func(k Kept) bool { return !k.Date.After(DateOf(p.now.In(p.zone)).AddDays(1)) }); i >= 0 {
		need := p.kept[i].Firm.Add(ahead)
		note(p.kept[i].ID, need, need)
	}
	for _, r := range p.Raises() {
		// A snapshot's own lease is raised when all it needs is. Objects that others keep
		// for long must not let it lapse meanwhile.
		k, _ := p.Of(r.ID)
		note(r.ID, r.Until, k.Snapshot.Until)
	}
	return slices.SortedFunc(maps.Values(due), func(a, b Due) int { return cmp.Or(a.Lease.Compare(b.Lease), cmp.Compare(a.Name, b.Name)) })
}

// Tonight chooses which of the objects that are due a run raises: those with the
// shortest leases, as far as the night's number goes, and whatever is urgent. The
// others stay due, and the next run finds them again.
func (p Policy) Tonight(due []Due, night int, now time.Time) []Due {
	due = slices.SortedStableFunc(slices.Values(due), func(a, b Due) int { return a.Lease.Compare(b.Lease) })
	n := min(max(0, night), len(due))
	for n < len(due) && due[n].Lease.Sub(now) < urgent {
		n++
	}
	return due[:n]
}
