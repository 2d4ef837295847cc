package verify

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"offsite/uploader/verify/structure"
)

// missing looks for what a whole set would hold: the bulk of the files, the bulk
// of each folder and kind, and every file that is in use.
func (c *comparison) missing() {
	total, lost := 0, 0
	folders, kinds := map[[4]byte]*share{}, map[[4]byte]*share{}
	old := c.pass.history.clean
	for i := range old.len() {
		if o := old.at(i); !o.format.Archive() {
			total++
			tally(folders, o.folder).had++
			tally(kinds, o.kind).had++
		}
	}
	heirs, tables := c.heirs(), c.tables()
	var used int
	for i := range c.gone {
		o := &c.gone[i]
		if o.format.Archive() || c.moved(o) || c.followed(o, heirs) {
			continue
		}
		lost++
		tally(folders, o.folder).lost++
		tally(kinds, o.kind).lost++
		if c.used(o) || tables[o.dir] && !c.passing(o) && o.seen >= settledSeen {
			used++
		}
	}
	if used > 0 {
		c.report.Add(Finding{
			Check: "database-missing", Level: LevelIncomplete, Count: used,
			Measured: plural(used, "file") + " of the database that every set had", Limit: "none",
			Remedy: "look at the log of the backup program: a file that is in use could not be copied; if the file is no longer needed, use offsite acknowledge",
		})
	}
	if total >= goneFiles && lost*100 > total*lostShare {
		c.report.Add(Finding{
			Check: "count", Level: LevelIncomplete, Count: lost,
			Measured: fmt.Sprintf("%d of %s of the last clean set are missing", lost, plural(total, "file")),
			Limit:    fmt.Sprintf("%d percent", lostShare),
			Remedy:   "look whether the backup program ran to its end and copies everything (in EXACT: Backup sub-directories)",
		})
		return
	}
	least := max(goneFiles, total/100)
	c.emptied("folders", "folder", folders, least)
	c.emptied("kinds", "kind of file", kinds, least)
}

// emptied reports groups of files that lost most of what they held.
func (c *comparison) emptied(check, what string, groups map[[4]byte]*share, least int) {
	n, files := 0, 0
	for _, s := range groups {
		if s.lost >= least && s.lost*100 > s.had*goneShare {
			n++
			files += s.lost
		}
	}
	if n == 0 {
		return
	}
	c.report.Add(Finding{
		Check: check, Level: LevelIncomplete, Count: files,
		Measured: fmt.Sprintf("%d times a %s lost more than half of its files, %d in all", n, what, files), Limit: "none",
		Remedy: "look whether the backup program copies everything (in EXACT: Backup sub-directories); if the files were moved away, use offsite acknowledge",
	})
}

// used says whether a file is part of a database: by its format, because it changed
// several times, because it changed as most of its kind do, or because its kind changes
// and it was always there.
func (c *comparison) used(o *record) bool {
	switch {
	case o.format.Database(), o.changes >= usedChanges, o.format == structure.None && o.changes > 0 && c.lively[o.kind] && !o.once():
		return o.seen >= settledSeen
	}
	return o.format == structure.None && c.restless[o.kind] && o.seen >= alwaysSeen
}

// tables returns the folders that hold a database: a third of the files in them or more
// are data of one, so that what never changes beside them is part of it, too.
func (c *comparison) tables() map[[4]byte]bool {
	if len(c.gone) == 0 {
		return nil
	}
	folders := map[[4]byte]*share{}
	for i, old := 0, c.pass.history.clean; i < old.len(); i++ {
		o := old.at(i)
		s := tally(folders, o.dir)
		if s.had++; o.format.Database() || o.changes >= usedChanges {
			s.lost++
		}
	}
	out := make(map[[4]byte]bool)
	for k, s := range folders {
		out[k] = s.lost*3 > s.had && k != [4]byte{}
	}
	return out
}

// passing says whether the file is one that may come and go beside a database.
func (c *comparison) passing(o *record) bool {
	return o.once() || o.format == structure.Text && slices.ContainsFunc([]string{".txt", ".log", ".xml", ".ini", ".csv", ".json", ".htm", ".html", ""},
		func(end string) bool { return c.isKind(o, end) })
}

// share is how many files a group had and lost.
type share struct{ had, lost int }

func tally(m map[[4]byte]*share, k [4]byte) *share {
	s := m[k]
	if s == nil {
		s = new(share)
		m[k] = s
	}
	return s
}

// heir is a file that may have come in the place of another of its line.
type heir struct {
	seen    int    // in how many clean sets; -1 for a new one, and for one that followed another before
	written uint32 // of all up to here the latest time
}

// heirs returns the files of each line in this set, those that came last first.
func (c *comparison) heirs() map[[8]byte][]heir {
	m := make(map[[8]byte][]heir)
	for i := range c.gone {
		if l := c.gone[i].line; l != [8]byte{} {
			m[l] = nil
		}
	}
	if len(m) == 0 {
		return nil
	}
	add := func(r *record, fresh bool) {
		h := heir{int(r.seen), r.written}
		if fresh || r.flags&flagLine != 0 {
			h.seen = -1
		}
		if _, ok := m[r.line]; ok {
			m[r.line] = append(m[r.line], h)
		}
	}
	for _, i := range c.fresh {
		add(c.rec(i), true)
	}
	for i := range c.rested {
		add(&c.rested[i], false)
	}
	for _, p := range c.changed {
		p.old.written = c.rec(p.now).written
		add(&p.old, false)
	}
	for _, line := range m {
		slices.SortFunc(line, func(a, b heir) int { return cmp.Compare(a.seen, b.seen) })
		for i := 1; i < len(line); i++ {
			line[i].written = max(line[i].written, line[i-1].written)
		}
	}
	return m
}

// followed says whether another of the file's line came after it, so that it may be
// cleared away. What always stood beside it bears another number, not a later date.
func (c *comparison) followed(o *record, heirs map[[8]byte][]heir) bool {
	line := heirs[o.line]
	later, _ := slices.BinarySearchFunc(line, int(o.seen), func(h heir, seen int) int { return cmp.Compare(h.seen, seen) })
	if later == 0 {
		return false
	}
	// A time after that at which it was looked at was a wrong clock's.
	return line[later-1].written >= o.written || int64(o.written) > c.pass.history.head.Clean.Judged.Unix()
}

// archives compares new archives and databases under a dated name with those that
// stood under an earlier date.
func (c *comparison) archives() {
	before := make(map[[8]byte]record)
	for i, old := 0, c.pass.history.clean; i < old.len(); i++ {
		o := old.at(i)
		if o.line == [8]byte{} || o.once() {
			continue
		}
		if b, ok := before[o.line]; !ok || o.seen < b.seen { // the youngest
			before[o.line] = o
		}
	}
	heirs := make(map[[8]byte]int)
	for _, i := range c.fresh {
		heirs[c.rec(i).line]++
	}
	for _, i := range c.fresh {
		n := c.rec(i)
		o, ok := before[n.line]
		// Several new ones of one line are numbered documents, not one backup after the
		// other, and so are small ones.
		if n.line == [8]byte{} || !ok || heirs[n.line] > 1 || o.size < lineLeast || c.known[short(n.content)] ||
			n.format == structure.Text && n.state != structure.Short {
			continue
		}
		n.flags |= flagLine
		n.base, n.low = min(n.noise, o.base+noiseDrift), lowered(&o, n)
		n.seen, n.changes = o.seen, o.changes // what holds for the line holds for it
		switch why := c.harm(&o, n); {
		case n.state == structure.Short && o.state == structure.Sound:
			n.flags |= flagLost
			c.cut(i)
		case why != "" && (!n.format.Archive() || n.format == structure.Tape || n.state == structure.Broken):
			n.flags |= flagLost
			c.report.Add(Finding{
				Check: "damaged", Level: LevelSuspect, Count: 1,
				Measured: "a " + n.format.String() + " file of " + plural(int(n.size), "byte") + " is not like the one before it", Limit: "none",
				Remedy: "try to open it; let the backup program run again, and look at the PC that wrote it",
			})
			c.report.AddDetail(c.name(nil, i, why)...)
		case n.size*100 < o.size*(100-archiveShrunk) && o.size > slack:
			c.report.Add(Finding{
				Check: "archive-size", Level: LevelSuspect, Count: 1,
				Measured: fmt.Sprintf("%d bytes, and %d in the one before it", n.size, o.size), Limit: fmt.Sprintf("at least %d percent of it", 100-archiveShrunk),
				Remedy: "look whether the backup program packs everything; if so little is right, use offsite acknowledge",
			})
			c.report.AddDetail(c.name(nil, i, "is much smaller than the one before it")...)
		}
	}
	for i, n := range c.pass.lengths {
		c.companion(i, n)
	}
}

// companion compares the length of a MyISAM table's data with what its index says.
func (c *comparison) companion(i int, length int64) {
	name := c.pass.set.At(i).Path
	for _, ext := range []string{".MYD", ".myd"} {
		e, ok := c.pass.set.Find(name[:max(len(name)-4, 0)] + ext)
		if !ok {
			continue
		}
		if e.Size < length {
			c.report.Add(Finding{
				Check: "cut-short", Level: LevelIncomplete, Count: 1,
				Measured: fmt.Sprintf("a table's data has %d bytes", e.Size), Limit: fmt.Sprintf("%d, as its index says", length),
				Remedy: "the backup was stopped, its disk was full, or the table was in use: let it run again",
			})
			c.report.AddDetail(e.Path + ": shorter than its index says")
		}
		return
	}
}

// gains notices when images and documents stop to arrive. Where days without any are
// usual, it takes more than twice the longest row of them.
func (c *comparison) gains() {
	past := c.pass.history.head.Gained
	sets := 1 // without any, this one included
	for len(past) > 0 && past[len(past)-1] == 0 {
		past = past[:len(past)-1]
		sets++
	}
	if c.gained > 0 || len(past) < gainLeast {
		return
	}
	sum, row, longest := 0, 0, 0
	for _, n := range past {
		if row++; n > 0 {
			row = 0
		}
		sum, longest = sum+n, max(longest, row)
	}
	due := float64(sum*sets) / float64(len(past))
	if sets <= 2*longest || due < gainSigns || due+c.idle() < gainExpected {
		return
	}
	c.report.Add(Finding{
		Check: "no-new-files", Level: LevelSuspect,
		Measured: "no new image or document in " + plural(sets, "set"), Limit: fmt.Sprintf("%d in each set before, on average", sum/len(past)),
		Remedy: "look whether the backup program still copies the folders of images (in EXACT: Backup sub-directories)",
	})
}

// idle is how unlikely it is, as a logarithm, that the one file rested which changes
// most often of those that did, while others changed.
func (c *comparison) idle() (odds float64) {
	if len(c.changed) == 0 {
		return 0
	}
	for i := range c.rested {
		if o := &c.rested[i]; o.seen >= gainLeast {
			odds = max(odds, o.odds())
		}
	}
	return odds
}

// odds is how unlikely it is, as a logarithm, that the file does not change in a set.
func (r *record) odds() float64 {
	return math.Log(float64(int(r.seen)+2) / float64(int(r.seen)-int(r.changes)+1))
}

// stale notices when some of the files that change every day have not, while
// others have: the copy was stopped on its way, or could not write them.
func (c *comparison) stale() {
	odds, n, moved := 0.0, 0, 0
	for i := range c.rested {
		if o := &c.rested[i]; o.busy() {
			odds += o.odds()
			n++
		}
	}
	for _, p := range c.changed {
		if p.old.busy() {
			moved++
		}
	}
	if n < 2 || moved == 0 || odds < math.Log(staleOdds) {
		return
	}
	c.report.Add(Finding{
		Check: "stale", Level: LevelSuspect, Count: n,
		Measured: fmt.Sprintf("%s that change every day did not, %d did", plural(n, "file"), moved), Limit: fmt.Sprintf("a chance of one in %d", staleOdds),
		Remedy: "look at the log of the backup program: it may have been stopped on its way, or found files in use",
	})
}

// busy says whether a file has changed on nearly all of many days.
func (r *record) busy() bool {
	return r.seen >= 30 && int(r.seen)-int(r.changes) <= int(r.seen)/30
}

// back notices a set that is older than the last clean one.
func (c *comparison) back() {
	was, is := c.pass.history.head.Clean.Newest, written(c.pass.set)
	if was.IsZero() || is.IsZero() || len(c.changed)+len(c.fresh) == 0 || !is.Before(was.Add(-clockBack)) {
		return
	}
	c.report.Add(Finding{
		Check: "older", Level: LevelSuspect,
		Measured: fmt.Sprintf("newest change %v before that of the last clean set", was.Sub(is).Round(time.Hour)), Limit: clockBack.String(),
		Remedy: "look whether the right disk is connected, and whether the clock of the PC that wrote the backup is right",
	})
}
