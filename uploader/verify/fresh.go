package verify

import (
	"fmt"
	"math"
	"slices"

	"offsite/uploader/verify/structure"
)

// rate is how the files of one kind were in the last clean set.
type rate struct {
	had, bad     int // of known formats, and of those not sound
	total, sound int
	plain        []uint16 // noise of those of no known format, sorted; and mean
	means        []uint16
	magics       map[uint16]int
	magic        uint16 // the most frequent, if nearly all have it
	begins       bool   // nearly all do
}

// rates looks at every kind of which a file is new or changed.
func (c *comparison) rates() map[[4]byte]*rate {
	kinds := make(map[[4]byte]*rate)
	for _, i := range c.fresh {
		kinds[c.rec(i).kind] = &rate{magics: map[uint16]int{}}
	}
	for _, p := range c.changed {
		kinds[c.rec(p.now).kind] = &rate{magics: map[uint16]int{}}
	}
	for i, old := 0, c.pass.history.clean; i < old.len(); i++ {
		o := old.at(i)
		k := kinds[o.kind]
		if k == nil || o.flags&flagLooked == 0 || o.size == 0 {
			continue
		}
		k.total++
		if o.magic != 0 {
			k.magics[o.magic]++
		}
		if o.state == structure.Unknown {
			k.plain, k.means = append(k.plain, o.noise), append(k.means, o.mean)
			continue
		}
		k.had++
		switch {
		case o.state >= structure.Short, o.patched():
			k.bad++
		default:
			k.sound++
		}
	}
	for _, k := range kinds {
		slices.Sort(k.plain)
		slices.Sort(k.means)
		for m, n := range k.magics {
			if n*100 >= k.total*oddAlike {
				k.magic, k.begins = m, true
			}
		}
	}
	return kinds
}

// usual is what nearly all of some sorted values stay below.
func usual(sorted []uint16) int { return int(sorted[(len(sorted)-1)*oddAlike/100]) }

// patched says whether noise stands in a picture whose pixels are not packed.
func (r *record) patched() bool {
	return r.flags&flagRaw != 0 && r.state == structure.Sound && (r.flags&flagSkew != 0 || int(r.noise) >= rawNoise)
}

// striped says whether one block in sixteen of packed bytes of no known format is locked.
func (r *record) striped() bool {
	return r.state == structure.Unknown && r.flags&flagLooked != 0 && r.flags&flagStriped != 0
}

// odd says why a new file is not like the others of its kind; "" means that it is, or
// that too few are known.
func (n *record) odd(k *rate) string {
	noisy := int(n.head) >= headNoise
	many := samples(n.size)
	switch {
	case n.patched():
		return "has noise in its picture"
	case n.striped():
		return "has noise in one block of sixteen"
	case n.state != structure.Unknown, n.flags&flagLooked == 0, k.total < oddKnown:
		return ""
	case noisy && k.sound*100 >= k.total*oddAlike:
		return "is not of the format of its kind"
	case noisy && k.begins && n.magic != k.magic:
		return "does not begin like others of its kind"
	case len(k.plain) < oddKnown:
		return ""
	case int(n.noise)-usual(k.plain) >= noiseRise+usual(k.plain)/noisyBefore && int(n.noise)*many/1000 >= noiseSamples:
		return "has more noise than others of its kind"
	case (int(n.mean)-usual(k.means))/256 >= meanRise && many >= meanSamples:
		return "looks more like noise than others of its kind"
	}
	return ""
}

// broken counts new files that are not what their format demands, or not like others
// of their kind.
func (c *comparison) broken() {
	kinds := c.rates()
	var details []string
	fresh, bad, due, odds := 0, 0, 0.0, 0.0
	var bytes int64 // of those that are bad
	for _, i := range c.fresh {
		n := c.rec(i)
		k := kinds[n.kind]
		odd := n.odd(k)
		if n.state == structure.Unknown && odd == "" || c.known[short(n.content)] {
			continue
		}
		fresh++
		due += float64(k.bad) / float64(max(k.had, 1))
		if n.state >= structure.Short {
			odd = "is not a sound " + n.format.String() + " file"
		}
		if odd == "" {
			continue
		}
		bad++
		bytes += n.size
		odds += math.Log(float64(k.total+2) / float64(k.bad+1))
		if n.striped() { // which no file is by chance, whatever is known of its kind
			odds += math.Log(newBrokenOdds)
		}
		details = c.name(details, i, odd)
	}
	limit, total := max(newBroken, 1+int(math.Ceil(due+3*math.Sqrt(due)))), c.pass.set.Totals().Bytes
	if (bad > limit && bad*100 > fresh*newBrokenShare) || bytes*1000 > total*newBrokenBytes && odds > math.Log(newBrokenOdds) {
		c.report.Add(Finding{
			Check: "new-broken", Level: LevelSuspect, Count: bad,
			Measured: fmt.Sprintf("%d of %s are not what their format or their kind demands, %d bytes", bad, plural(fresh, "new file"), bytes),
			Limit:    fmt.Sprintf("%d, or %d percent; %d bytes", limit, newBrokenShare, total*newBrokenBytes/1000),
			Remedy:   "open some of them; let the backup program run again; if they are right, use offsite acknowledge",
		})
		c.report.AddDetail(details...)
	}
	c.lastWritten(kinds)
}

// lastWritten looks at the file that was written last: where a copy was stopped,
// that one ends too early.
func (c *comparison) lastWritten(kinds map[[4]byte]*rate) {
	last, newest := -1, int64(0)
	for _, i := range c.order {
		if t := c.pass.set.At(i).ModTime; t > newest {
			last, newest = i, t
		}
	}
	if last < 0 {
		return
	}
	n := c.rec(last)
	k := kinds[n.kind]
	if k == nil || k.had < lastKnown || k.bad*lastSound > k.had {
		return
	}
	if n.state == structure.Short || n.size == 0 {
		c.cut(last)
	}
}
