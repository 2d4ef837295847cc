package gcstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const day = 24 * time.Hour

// Removal is an object that lifecycle has removed.
type Removal struct {
	Bucket, Name string
	Generation   int64
	At           time.Time // virtual
}

// Advance moves the clock on and then does what lifecycle has to do (R15).
func (l *Layer) Advance(ctx context.Context, d time.Duration) ([]Removal, error) {
	if d < 0 {
		return nil, fmt.Errorf("advance by %v: the clock only goes on", d)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
	var removed []Removal
	for _, name := range sortedKeys(l.buckets) {
		b := l.buckets[name]
		if len(b.rules) == 0 {
			continue
		}
		if b.versioned() {
			return removed, fmt.Errorf("not modelled: removal from %s, which keeps versions", name)
		}
		if err := l.seeAll(ctx, name, b); err != nil {
			return removed, err
		}
		for _, key := range sortedKeys(b.objects) {
			o := b.objects[key]
			if !l.due(b, key, o) || l.protected(b, o) != nil { // R14
				continue
			}
			a := l.ask(ctx, http.MethodDelete, objectPath(name, key), nil)
			if a.status >= 300 {
				return removed, fmt.Errorf("remove %s/%s: emulator says %d", name, key, a.status)
			}
			delete(b.objects, key)
			removed = append(removed, Removal{name, key, o.generation, l.now})
		}
	}
	return removed, nil
}

// seeAll notes the objects that were made behind the layer's back.
func (l *Layer) seeAll(ctx context.Context, name string, b *bucket) error {
	for token := ""; ; {
		query := url.Values{}
		if token != "" {
			query.Set("pageToken", token)
		}
		a := l.ask(ctx, http.MethodGet, "/storage/v1/b/"+url.PathEscape(name)+"/o", query)
		var page struct {
			Items         []fields
			NextPageToken string
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &page) != nil {
			return fmt.Errorf("list %s: emulator says %d", name, a.status)
		}
		for _, item := range page.Items {
			if b.objects[item.text("name")] == nil {
				l.adopt(b, item.text("name"), item)
			}
		}
		if token = page.NextPageToken; token == "" {
			return nil
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
