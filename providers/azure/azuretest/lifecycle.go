package azuretest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule is one rule of the account's management policy. Zero days: no such condition.
type Rule struct {
	Prefix string // container/beginning of the name; empty: everything

	// Days after which the current version is deleted.
	DaysAfterCreation     int
	DaysAfterModification int
	DaysAfterLastAccess   int
	// Days, counted from when it was written, after which an older version is deleted.
	VersionDaysAfterCreation int
}

// Advance moves the virtual clock and runs the rules once a day.
func (l *Layer) Advance(ctx context.Context, d time.Duration) error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	end := l.now.Add(d)
	l.mu.Unlock()
	for {
		l.mu.Lock()
		due := !l.next.After(end)
		if due {
			l.now, l.next = l.next, l.next.Add(day)
		} else {
			l.now = end
		}
		l.mu.Unlock()
		if !due {
			return nil
		}
		if err := l.runRules(ctx); err != nil {
			return err
		}
	}
}

// runRules is one daily run. What it decides it decides before it removes anything.
func (l *Layer) runRules(ctx context.Context) error {
	var gone []string // current versions that go
	l.mu.Lock()
	for key, s := range l.blobs {
		name, _, _ := strings.Cut(key, "/")
		if l.opt.Lifecycle == NeverActs && l.setting(name).immutable {
			continue
		}
		for _, rule := range l.rules {
			if !strings.HasPrefix(key, rule.Prefix) {
				continue
			}
			if len(s.previous) == 0 && l.due(s.current, rule) {
				gone = append(gone, key)
				break
			}
			s.previous = slices.DeleteFunc(s.previous, func(v *version) bool {
				return rule.VersionDaysAfterCreation > 0 && !v.kept(l.now) && l.older(v.created, rule.VersionDaysAfterCreation)
			})
		}
		l.forget(key, s)
	}
	l.mu.Unlock()
	for _, key := range gone {
		client, err := l.upstream(key)
		if err == nil {
			_, err = client.Delete(ctx, nil)
		}
		if err != nil {
			return fmt.Errorf("remove blob by rule: %w", err)
		}
		l.mu.Lock()
		s := l.blobs[key]
		if l.versions {
			s.previous = append(s.previous, s.current)
		}
		s.current = nil
		l.forget(key, s)
		l.mu.Unlock()
	}
	return nil
}

// due says whether a rule removes a current version now.
func (l *Layer) due(v *version, rule Rule) bool {
	if v == nil || v.kept(l.now) && (l.opt.Lifecycle != HidesLocked || !l.versions) {
		return false
	}
	accessed := v.accessed
	if !l.tracking { // the day on which it was switched on counts instead
		accessed = l.tracked
	}
	return rule.DaysAfterCreation > 0 && l.older(v.created, rule.DaysAfterCreation) ||
		rule.DaysAfterModification > 0 && l.older(v.created, rule.DaysAfterModification) ||
		rule.DaysAfterLastAccess > 0 && l.older(accessed, rule.DaysAfterLastAccess)
}

func (l *Layer) older(t time.Time, days int) bool { return l.now.Sub(t) > time.Duration(days)*day }
