package verify

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"

	"offsite/uploader/source"
	"offsite/uploader/verify/structure"
)

// comparison walks over the files of the last clean set and of this one together.
type comparison struct {
	pass   *Pass
	order  []int // numbers of files, sorted by the keyed hash of the path
	again  bool  // another set of the same day was clean before
	report *Report

	fresh   []int    // files whose path the last clean set did not have
	gone    []record // files of the last clean set whose path is not there
	changed []pair   // files with other content than in the last clean set
	rested  []record // files with the same content, as they were

	restless  map[[4]byte]bool // kinds of files that are rewritten now and then
	lively    map[[4]byte]bool // kinds of which half the files were, those of a database
	settled   int              // files of the last clean set that were written once
	gained    int              // new images and documents
	rewritten int              // settled files that changed or vanished
	held      map[uint64]bool  // contents that gone and changed files had: whether they are still there
	known     map[uint64]bool  // contents of fresh files: whether the last clean set had them
}

// pair is one file then and now.
type pair struct {
	old record
	now int // number in the set
}

func (c *comparison) run(report *Report) {
	c.report = report
	h := c.pass.history
	if h.head.Clean == nil {
		c.firstLook()
		c.names()
		return
	}
	c.again = h.head.Clean.Day == c.pass.day
	c.match()
	c.follow()
	if h.head.Acknowledged != "" {
		report.Add(Finding{
			Check: "acknowledged", Level: LevelWarning, Measured: "changes of " + h.head.Acknowledged, Limit: "none",
			Remedy: "nothing: a person called them legitimate, and this set is compared with them",
		})
	}
	c.damage()
	c.rewrites()
	c.missing()
	c.broken()
	c.names()
	c.archives()
	if !c.again {
		c.gains()
		c.stale()
	}
	c.back()
}

func (c *comparison) rec(i int) *record { return &c.pass.now[i] }

// match joins the two sets by path and brings the counts of each file up to date.
func (c *comparison) match() {
	old := c.pass.history.clean
	k := 0
	next := func() (record, bool) {
		if k < old.len() {
			return old.at(k), true
		}
		return record{}, false
	}
	for _, i := range c.order {
		n := c.rec(i)
		o, ok := next()
		for ok && string(o.path[:]) < string(n.path[:]) {
			c.gone = append(c.gone, o)
			k++
			o, ok = next()
		}
		if !ok || o.path != n.path {
			c.fresh = append(c.fresh, i)
			continue
		}
		k++
		c.count(&o, n)
		if o.content != n.content {
			c.changed = append(c.changed, pair{o, i})
			continue
		}
		n.flags |= o.flags & (flagLost | flagLine)
		n.base, n.low = o.base, o.low
		c.rested = append(c.rested, o)
	}
	for o, ok := next(); ok; o, ok = next() {
		c.gone = append(c.gone, o)
		k++
	}
	c.weigh()
}

// weigh finds the kinds of files that are rewritten now and then, and counts the
// files that are not.
func (c *comparison) weigh() {
	type count struct{ seen, changes, files, changed int }
	kinds := make(map[[4]byte]*count)
	old := c.pass.history.clean
	for i := range old.len() {
		o := old.at(i)
		k := kinds[o.kind]
		if k == nil {
			k = new(count)
			kinds[o.kind] = k
		}
		k.seen += int(o.seen)
		k.changes += int(o.changes)
		k.files++
		k.changed += int(min(o.changes, 1))
	}
	c.restless, c.lively = make(map[[4]byte]bool), make(map[[4]byte]bool)
	for kind, k := range kinds {
		c.restless[kind] = k.changes*restless > k.seen
		c.lively[kind] = k.files >= livelyFiles && k.changed*2 >= k.files
	}
	for i := range old.len() {
		if o := old.at(i); c.still(&o) {
			c.settled++
		}
	}
}

// still says whether a file counts as written once.
func (c *comparison) still(o *record) bool {
	return o.settled() && (o.once() || !c.restless[o.kind])
}

// count carries on how often the file was seen and how often it changed.
func (c *comparison) count(o, n *record) {
	n.seen, n.changes = o.seen, o.changes
	if n.seen == math.MaxUint8 { // what lies long back counts less
		n.seen, n.changes = n.seen/2, n.changes/2
	}
	if c.again {
		return
	}
	n.seen++
	if o.content != n.content {
		n.changes++
	}
}

// settled says whether the file is one that is written once.
func (r *record) settled() bool {
	switch {
	case r.flags&flagOnce != 0, r.format.WriteOnce():
		return int(r.changes)*20 <= int(r.seen)+19 // one change is forgiven, and one in twenty days
	case r.format.Archive(), r.format.Database():
		return false
	}
	return r.changes == 0 && r.seen >= settledSeen
}

// finished says whether the file is a backup under a dated name, of a line whose
// files never changed after their day.
func (r *record) finished() bool {
	return r.flags&flagLine != 0 && !r.once() && !r.format.Database() && r.format != structure.Text && r.changes == 0 && r.seen >= settledSeen
}

// once says whether the file is an image or a document.
func (r *record) once() bool { return r.flags&flagOnce != 0 || r.format.WriteOnce() }

func short(content [16]byte) uint64 { return binary.LittleEndian.Uint64(content[:]) }

// follow finds contents that stand under another path than before: what was moved
// or renamed is neither gone nor new.
func (c *comparison) follow() {
	c.held, c.known = make(map[uint64]bool), make(map[uint64]bool)
	for _, o := range c.gone {
		c.held[short(o.content)] = false
	}
	for _, p := range c.changed {
		c.held[short(p.old.content)] = false
	}
	for _, i := range c.order {
		if _, ok := c.held[short(c.rec(i).content)]; ok {
			c.held[short(c.rec(i).content)] = true
		}
	}
	for _, i := range c.fresh {
		c.known[short(c.rec(i).content)] = false
	}
	for i, old := 0, c.pass.history.clean; i < old.len(); i++ {
		if o := old.at(i); len(c.known) > 0 {
			if _, ok := c.known[short(o.content)]; ok {
				c.known[short(o.content)] = true
			}
		}
	}
	for _, i := range c.fresh {
		if n := c.rec(i); !c.known[short(n.content)] && (n.once() || n.format == structure.Text) {
			c.gained++
		}
	}
}

// moved says whether what the file held stands elsewhere now.
func (c *comparison) moved(o *record) bool { return c.held[short(o.content)] }

// harm says why a file that changed is damaged; "" means that it is not.
func (c *comparison) harm(o *record, n *record) string {
	lost := o.flags&flagLost != 0
	switch {
	case n.flags&flagLooked == 0 || o.flags&flagLooked == 0:
		return ""
	case n.state >= structure.Short && (o.state == structure.Sound || lost):
		return n.format.String() + " is not whole any more"
	case o.format == structure.Text && o.dataEnd == o.size && n.dataEnd < n.size:
		return "its end has become zeros"
	case n.state == structure.Unknown && o.state == structure.Sound && (n.size >= leastText || c.begins(o, n)):
		return "it is no " + o.format.String() + " any more"
	case n.state == structure.Unknown && n.head >= headNoise && int(n.head)-int(o.head) >= headRise:
		return "its first bytes have become noise"
	case n.state == structure.Sound && o.format != n.format:
		return ""
	case n.size-n.dataEnd > max(slack, n.size*hollow/100) && o.size-o.dataEnd < o.size*hollow/200:
		return "its end has become zeros"
	}
	return c.noise(o, n)
}

// begins says whether a few bytes are the begin of what the file was: too few to be known
// for text, but what was copied when the copy was stopped.
func (c *comparison) begins(o, n *record) bool {
	return n.size > 4 && o.size >= 4*leastText && n.magic == o.magic && n.magic != 0 && !c.isKind(n, ".log") // which may begin anew on any day
}

// loss says why a file that stands under the same path as before has lost data.
func (c *comparison) loss(o, n *record) string {
	switch {
	case n.flags&flagLooked == 0 || o.flags&flagLooked == 0 || n.state == structure.Sound && o.format != n.format:
		return ""
	case n.size == 0 && !c.isKind(n, ".log"): // which may begin anew on any day
		return "it is empty"
	case o.dataEnd-n.dataEnd > max(slack, o.dataEnd*hollow/100) && n.size >= o.size:
		return "its end has become zeros"
	case n.state == structure.Unknown && !o.once() && o.format != structure.Text && o.size-n.size > max(slack, o.size*shrunk/100):
		return "it has become shorter"
	}
	return ""
}

// isKind says whether the name of the file ends so.
func (c *comparison) isKind(n *record, end string) bool {
	return string(n.kind[:]) == string(c.pass.history.hash("kind", end)[:4])
}

// leastText is how long a file must be to be known for text.
const leastText = 64

// noise compares the blocks of a file with what they were.
func (c *comparison) noise(o, n *record) string {
	if (n.format.WriteOnce() && n.state == structure.Sound && n.format != structure.DICOM && n.format != structure.TIFF) || n.format.Archive() && n.format != structure.Tape && n.state == structure.Sound {
		return "" // packed data is noise anyway, and its structure was followed
	}
	samples := int(max(n.size/structure.BlockSize, 1))
	rise := int(n.noise) - int(o.base)
	if rise >= noiseRise+int(o.base)/noisyBefore && rise*samples/1000 >= noiseSamples {
		return "blocks have become noise"
	}
	if even(o, n) {
		return "its packed bytes have become noise"
	}
	if n.striped() && !o.striped() {
		return "one block of sixteen has become noise"
	}
	mean := (int(n.mean) - int(o.mean)) / 256
	if mean >= meanRise && samples >= meanSamples || mean >= 2*meanRise && samples > 1 {
		return "its blocks look more like noise than before"
	}
	return ""
}

// even says whether bytes that were packed are spread as evenly now as only locked
// ones are.
func even(o, n *record) bool {
	if n.state != structure.Unknown || o.state != structure.Unknown || n.size < lineLeast {
		return false
	}
	was, is := int(o.low), int(n.bias)
	if is*100 < was*biasFallen && n.counted > 0 && was-is > biasErrors*structure.BiasError(1<<(n.counted-1)) {
		return true
	}
	was, is = int(o.headBias), int(n.headBias)
	return is*100 < was*headFallen && was-is > headFall && n.head >= headNoise
}

// lowered is the bias that is usual for a file after it was n.
func lowered(o, n *record) uint16 {
	if o.low == 0 {
		return n.bias
	}
	step := int(o.low) / biasDrift
	return uint16(min(max(int(n.bias), int(o.low)-step), int(o.low)+step, math.MaxUint16))
}

// samples is how many samples are taken of a file of no known format, about.
func samples(size int64) int {
	blocks := size / structure.BlockSize
	return int(min(blocks, 256) + max(blocks-256, 0)/4)
}

// damage looks for files that were sound and no longer are.
func (c *comparison) damage() {
	var files, bytes int64
	var base, details []string
	for _, p := range c.changed {
		n := c.rec(p.now)
		why := cmp.Or(c.harm(&p.old, n), c.loss(&p.old, n))
		if why == "" {
			n.base, n.low = min(n.noise, p.old.base+noiseDrift), lowered(&p.old, n)
			continue
		}
		n.flags |= flagLost
		n.base, n.low = p.old.base, p.old.low
		details = c.name(details, p.now, why)
		if p.old.format.Database() || p.old.changes >= usedChanges {
			base = append(base, why)
		}
		if n.state == structure.Short && (n.format.Database() || n.format.Archive()) {
			c.cut(p.now)
		}
	}
	t := c.pass.set.Totals()
	for _, i := range c.order {
		if n := c.rec(i); n.flags&flagLost != 0 {
			files++
			bytes += n.size
		}
	}
	limit := max(damagedFiles, int64(t.Files)*damagedShare/1000)
	if files == 0 || files <= limit && bytes*1000 < t.Bytes*damagedBytes && len(base) == 0 {
		return
	}
	c.report.Add(Finding{
		Check: "damaged", Level: LevelSuspect, Count: int(files),
		Measured: fmt.Sprintf("%s, %d bytes, that were sound before", plural(int(files), "file"), bytes),
		Limit:    fmt.Sprintf("at most %s and %d bytes, no database", plural(int(limit), "file"), t.Bytes*damagedBytes/1000),
		Remedy: "treat it as ransomware or a failing disk until you know better: open some of the files, and look at the PC that wrote them; " +
			"if the change is known and right, use offsite acknowledge",
	})
	c.report.AddDetail(details...)
}

// cut says that a file ends too early, which only a copy that was stopped does.
func (c *comparison) cut(i int) {
	c.report.Add(Finding{
		Check: "cut-short", Level: LevelIncomplete, Count: 1,
		Measured: "a " + c.rec(i).format.String() + " file ends too early", Limit: "none",
		Remedy: "the backup was stopped, or its disk was full: let it run again",
	})
	c.report.AddDetail(c.name(nil, i, "ends too early")...)
}

// name adds a line for the console, up to a limit.
func (c *comparison) name(lines []string, i int, why string) []string {
	if len(lines) < maxDetail {
		lines = append(lines, fmt.Sprintf("%s: %s", c.pass.set.At(i).Path, why))
	}
	return lines
}

// rewrites counts the settled files that changed or vanished.
func (c *comparison) rewrites() {
	var details []string
	changed, vanished := 0, 0
	for _, p := range c.changed {
		if (p.old.flags&flagFixed != 0 || p.old.finished()) && !c.moved(&p.old) {
			c.report.Add(Finding{
				Check: "finished", Level: LevelSuspect, Count: 1, Measured: "a file that is written once changed", Limit: "none",
				Remedy: "find out what wrote to it; if it is right that it changes, use offsite acknowledge, and take its pattern out of write_once in the profile",
			})
			c.report.AddDetail(c.name(nil, p.now, "is written once, and changed")...)
			break // one is enough, and a set may have thousands
		}
	}
	for _, p := range c.changed {
		if c.still(&p.old) && !c.moved(&p.old) {
			changed++
			details = c.name(details, p.now, "was rewritten")
		}
	}
	for i := range c.gone {
		if o := &c.gone[i]; c.still(o) && !o.format.Archive() && !c.moved(o) {
			vanished++
		}
	}
	c.rewritten = changed + vanished
	limit := max(rewrittenFiles, c.settled*rewrittenShare/1000)
	sum, past := c.rewritten, c.pass.history.head.Rewritten
	for _, n := range past[max(len(past)-(rewrittenDays-1), 0):] {
		sum += n
	}
	if c.rewritten > limit || c.rewritten > 0 && sum > rewrittenSum*limit+rewrittenFiles {
		c.report.Add(Finding{
			Check: "rewritten", Level: LevelSuspect, Count: c.rewritten,
			Measured: fmt.Sprintf("of %s written once, %d changed and %d vanished; %d in the last %d sets", plural(c.settled, "file"), changed, vanished, sum, len(past)+1),
			Limit:    fmt.Sprintf("%d in one set, %d in %d", limit, rewrittenSum*limit+rewrittenFiles, rewrittenDays),
			Remedy: "find out what rewrote them: image compression and the moving of an archive do so, and so does ransomware; " +
				"if the change is known and right, use offsite acknowledge",
		})
		c.report.AddDetail(details...)
	}
}

// firstLook judges a set that cannot be compared with anything.
func (c *comparison) firstLook() {
	known, bad := 0, 0
	var details []string
	for _, i := range c.order {
		n := c.rec(i)
		switch {
		case n.state >= structure.Short:
			known++
			bad++
			details = c.name(details, i, "is not a sound "+n.format.String()+" file")
		case n.state == structure.Sound && n.patched():
			known++
			bad++
			details = c.name(details, i, "has noise in its picture")
		case n.state == structure.Sound:
			known++
		}
		if n.once() && c.pass.set.At(i).Type == source.TypeFile {
			c.gained++
		}
	}
	if bad >= goneFiles && bad*100 > known*newBrokenShare {
		c.report.Add(Finding{
			Check: "first-look", Level: LevelSuspect, Count: bad,
			Measured: fmt.Sprintf("%d of %s of known formats are not sound", bad, plural(known, "file")),
			Limit:    fmt.Sprintf("%d percent", newBrokenShare),
			Remedy:   "open some of the files; if they are as they always were, use offsite acknowledge",
		})
		c.report.AddDetail(details...)
	}
}
