package gcsadmin

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"offsite/providers"
)

// softDelete is how long the service must keep the bytes of what was removed: the
// way back from a mistake of an administrator.
const softDelete = 7 * day

// bucket is what the service says of one, as far as leases depend on it.
type bucket struct {
	Metageneration   string
	Location         string
	IamConfiguration struct {
		UniformBucketLevelAccess struct{ Enabled bool }
		PublicAccessPrevention   string
	}
	Versioning            struct{ Enabled bool }
	DefaultEventBasedHold bool
	RetentionPolicy       struct {
		RetentionPeriod string
		IsLocked        bool
	}
	SoftDeletePolicy struct{ RetentionDurationSeconds string }
	Lifecycle        struct{ Rule []json.RawMessage }
}

// setting is one thing that the bucket must be.
type setting struct {
	name, want, remedy string
	look               func(b *bucket) (have string, right bool)
	// put adds to the patch what makes it right. Nil: a person has to decide.
	put func(b *bucket, patch map[string]any)
}

const bySetup = "run store setup with the administrator's credential"

// settings are all of them, in the order in which they are shown.
func (a *Admin) settings() []setting {
	return append(a.access(), append(a.times(), a.rules()...)...)
}

func (a *Admin) access() []setting {
	iam := func(patch map[string]any, name string, value any) {
		all, ok := patch["iamConfiguration"].(map[string]any)
		if !ok {
			all = map[string]any{}
			patch["iamConfiguration"] = all
		}
		all[name] = value
	}
	return []setting{
		{"bucket", "there", "", func(b *bucket) (string, bool) { return "there, in " + b.Location, true }, nil},
		{"uniform access", "on", bySetup,
			func(b *bucket) (string, bool) {
				on := b.IamConfiguration.UniformBucketLevelAccess.Enabled
				return onOff(on), on
			},
			func(_ *bucket, patch map[string]any) {
				iam(patch, "uniformBucketLevelAccess", map[string]any{"enabled": true})
			}},
		{"public access", "prevented", bySetup,
			func(b *bucket) (string, bool) {
				have := b.IamConfiguration.PublicAccessPrevention
				if have == "enforced" {
					return "prevented", true
				}
				return "possible", false
			},
			func(_ *bucket, patch map[string]any) { iam(patch, "publicAccessPrevention", "enforced") }},
	}
}

func (a *Admin) times() []setting {
	return []setting{
		{"versioning", "off", bySetup,
			func(b *bucket) (string, bool) { return onOff(b.Versioning.Enabled), !b.Versioning.Enabled },
			func(_ *bucket, patch map[string]any) { patch["versioning"] = map[string]any{"enabled": false} }},
		a.floor(),
		{"hold on new objects", "off", bySetup,
			func(b *bucket) (string, bool) { return onOff(b.DefaultEventBasedHold), !b.DefaultEventBasedHold },
			func(_ *bucket, patch map[string]any) { patch["defaultEventBasedHold"] = false }},
		{"soft delete", "at least " + days(softDelete), bySetup,
			func(b *bucket) (string, bool) {
				have := seconds(b.SoftDeletePolicy.RetentionDurationSeconds)
				return days(have), have >= softDelete
			},
			func(_ *bucket, patch map[string]any) {
				patch["softDeletePolicy"] = map[string]any{"retentionDurationSeconds": asSeconds(softDelete)}
			}},
	}
}

// floor is the retention period. A longer one than needed is left alone: making it
// shorter is for a person, and impossible if it is locked.
func (a *Admin) floor() setting {
	want := "at least " + days(a.config.Floor)
	if a.config.Max != 0 {
		want += ", at most " + days(a.config.Max)
	}
	s := setting{name: "retention period", want: want, remedy: bySetup,
		look: func(b *bucket) (string, bool) {
			have := seconds(b.RetentionPolicy.RetentionPeriod)
			text := days(have)
			if b.RetentionPolicy.IsLocked {
				text += ", locked"
			}
			return text, have >= a.config.Floor && !a.tooLong(have)
		},
		put: func(b *bucket, patch map[string]any) {
			if seconds(b.RetentionPolicy.RetentionPeriod) < a.config.Floor {
				patch["retentionPolicy"] = map[string]any{"retentionPeriod": asSeconds(a.config.Floor)}
			}
		}}
	return s
}

func (a *Admin) tooLong(period time.Duration) bool { return a.config.Max != 0 && period > a.config.Max }

// judge compares a bucket with all of them.
func (a *Admin) judge(b *bucket) []providers.Setting {
	var out []providers.Setting
	for _, s := range a.settings() {
		have, right := s.look(b)
		one := providers.Setting{Name: s.name, Want: s.want, Have: have, State: providers.StateRight}
		if !right {
			one.State, one.Remedy = providers.StateWrong, s.remedy
			if s.name == "retention period" && a.tooLong(seconds(b.RetentionPolicy.RetentionPeriod)) {
				one.Remedy = "what has lapsed is kept, and costs, until this period is over: shorten it; if it is locked, use another bucket"
			}
		}
		out = append(out, one)
	}
	return out
}

// unseen is the answer to a credential that may not look.
func (a *Admin) unseen() []providers.Setting {
	var out []providers.Setting
	for _, s := range a.settings() {
		out = append(out, providers.Setting{Name: s.name, Want: s.want, State: providers.StateUnseen,
			Remedy: "look with a credential that holds storage.buckets.get"})
	}
	return out
}

// patch is what makes a bucket right. Empty: nothing is to be done.
func (a *Admin) patch(b *bucket) map[string]any {
	patch := map[string]any{}
	for _, s := range a.settings() {
		if _, right := s.look(b); !right && s.put != nil {
			s.put(b, patch)
		}
	}
	return patch
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// seconds reads a number of seconds; what is no such number is none.
func seconds(text string) time.Duration {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(time.Second) {
		return 0
	}
	return time.Duration(n) * time.Second
}

func asSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

func days(d time.Duration) string {
	switch {
	case d == 0:
		return "none"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}
