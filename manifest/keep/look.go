package keep

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/providers"
)

// Memory is what is remembered of a store's objects between two looks: their size,
// and until when they are kept. It is a local file; without it only the documents
// in the store say what should be there.
type Memory map[Place]Remembered

// Remembered is one object of a Memory.
type Remembered struct {
	Size  int64
	Until time.Time // zero: nothing asks for it
	Lost  bool      // it went before its time, and that was written down
}

// Sight is what there is to remember of the present listing.
func (e *Evidence) Sight() Memory {
	m := make(Memory, len(e.objects))
	for _, o := range e.objects {
		m[Place{Key: o.Key}] = Remembered{Size: o.Size, Until: Until{Time: o.Lease}.latest(e.keys[o.Key]).Time}
	}
	return m
}

// Missing says which objects are gone since the look that m remembers, and which
// that documents ask for are not there. What went before its time ends EndEarly.
func (e *Evidence) Missing(m Memory, now time.Time) []Mention {
	var out []Mention
	add := func(key string, was Remembered) {
		if _, ok := e.listed[key]; ok {
			return
		}
		u := e.keys[key]
		if u = (Until{Time: was.Until, By: "what was known at the last look"}).latest(u); u.Time.IsZero() {
			u.By = "nothing"
		}
		end := EndLapse
		if u.Time.After(now) {
			end = EndEarly
		}
		out = append(out, Mention{Key: key, Size: was.Size, Until: manifest.At(u.Time), Why: u.By, End: end})
	}
	for at, was := range m {
		add(at.Key, was)
	}
	for key, u := range e.keys {
		if _, ok := m[Place{Key: key}]; !ok && u.Time.After(now) {
			add(key, Remembered{})
		}
	}
	slices.SortFunc(out, func(a, b Mention) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// After is what to remember once a look was written down: what stands, and what went
// before its time, so that it is written down once and remains an alarm.
func (e *Evidence) After(gone []Mention) Memory {
	m := e.Sight()
	for _, g := range Early(gone) {
		m[Place{Key: g.Key}] = Remembered{Size: g.Size, Until: g.Until.Time, Lost: true}
	}
	return m
}

// Fresh returns those that no earlier look has written down.
func (m Memory) Fresh(gone []Mention) []Mention {
	return slices.DeleteFunc(slices.Clone(gone), func(g Mention) bool { return m[Place{Key: g.Key}].Lost })
}

// Early returns those that went before their time.
func Early(gone []Mention) []Mention {
	return slices.DeleteFunc(slices.Clone(gone), func(m Mention) bool { return m.End != EndEarly })
}

// LookEntries are the entries that say what went without a sweep.
func LookEntries(gone []Mention, now time.Time) []Entry {
	var out []Entry
	for part := range slices.Chunk(gone, maxMentions) {
		n := Entry{Kind: Gone, Time: manifest.At(now), Objects: part}
		for _, m := range part {
			n.Bytes += m.Size
		}
		out = append(out, n)
	}
	return out
}

const (
	memoryHead = "offsite memory 1 "
	noVersion  = "-"
	lostMark   = " lost"
	// maxMemory bounds the file: a line of 200 bytes for each of a million objects.
	maxMemory = 200 << 20
)

// Encode writes a memory of one store, as Decode reads it.
func (m Memory) Encode(repository string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n", memoryHead, repository)
	for _, at := range slices.SortedFunc(maps.Keys(m), func(a, b Place) int {
		return strings.Compare(a.Key+" "+string(a.Version), b.Key+" "+string(b.Version))
	}) {
		version, until := string(at.Version), int64(0)
		if version == "" {
			version = noVersion
		}
		if r := m[at]; !r.Until.IsZero() {
			until = r.Until.Unix()
		}
		fmt.Fprintf(&b, "%s %s %d %d%s\n", at.Key, version, m[at].Size, until, map[bool]string{true: lostMark}[m[at].Lost])
	}
	return b.Bytes()
}

// DecodeMemory reads what Encode wrote for the same repository. Of another one it is
// empty: the store was founded anew.
func DecodeMemory(data []byte, repository string) (Memory, error) {
	m := make(Memory)
	if len(data) > maxMemory {
		return nil, errors.New("read memory: the file is too long")
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	if !s.Scan() || !strings.HasPrefix(s.Text(), memoryHead) {
		return nil, errors.New("read memory: the file is not one")
	}
	if strings.TrimPrefix(s.Text(), memoryHead) != repository {
		return m, nil
	}
	for s.Scan() {
		line, lost := strings.CutSuffix(s.Text(), lostMark)
		f := strings.Split(line, " ")
		if len(f) != 4 || !providers.ValidKey(f[0]) {
			return nil, errors.New("read memory: a line is damaged")
		}
		size, err1 := strconv.ParseInt(f[2], 10, 64)
		until, err2 := strconv.ParseInt(f[3], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read memory: %w", err)
		}
		at, r := Place{Key: f[0]}, Remembered{Size: size, Lost: lost}
		if f[1] != noVersion {
			at.Version = providers.Version(f[1])
		}
		if until != 0 {
			r.Until = time.Unix(until, 0).UTC()
		}
		m[at] = r
	}
	return m, s.Err()
}
