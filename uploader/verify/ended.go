package verify

import (
	"time"

	"offsite/uploader/source"
	"offsite/uploader/verify/evidence"
)

// Ended returns when the backup program reported, in the log that the profile reads,
// that its last run ended well. It is false where there is no such log, where it
// cannot be read or says something else, and where it is part of the set. Whether the
// report is of this set is for the caller to see by its time.
func (p Profile) Ended(set source.Set, now time.Time, zone *time.Location) (time.Time, bool) {
	if p.evidence.Log == "" {
		return time.Time{}, false
	}
	j := judge{set: set, profile: p}
	if inside, err := j.inside(p.evidence.Log); err != nil || inside {
		return time.Time{}, false
	}
	res, err := p.evidence.Read(now, zone)
	return res.When, err == nil && res.Outcome == evidence.Succeeded
}
