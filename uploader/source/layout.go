package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Kind is how backups stand in the folders of a source. LAYOUTS.md describes each.
type Kind string

// The kinds. Only Folder and Computers take several folders; what belongs to every
// set of another kind beside its own folder stands in Layout.Also.
const (
	Folder    Kind = "folder"    // overwritten in place; several folders make one set
	Renamed   Kind = "renamed"   // the one before is renamed and gets a number
	Archives  Kind = "archives"  // files with a date in their names
	Dated     Kind = "dated"     // sub-folders with a date in their names
	Weekdays  Kind = "weekdays"  // files or sub-folders named for the days of the week
	Numbered  Kind = "numbered"  // names shift by one number at each backup
	Disks     Kind = "disks"     // disks in turn under one path
	Computers Kind = "computers" // several folders of which one is written each time
	Chain     Kind = "chain"     // a full backup and increments
)

// Kinds returns every kind.
func Kinds() []Kind {
	return []Kind{Folder, Renamed, Archives, Dated, Weekdays, Numbered, Disks, Computers, Chain}
}

// Several reports whether several sets may stand in a source of this kind at once.
func (k Kind) Several() bool {
	switch k {
	case Renamed, Archives, Dated, Weekdays, Numbered, Computers:
		return true
	}
	return false
}

const (
	// MaxSets is how many sets a source may hold. A practice that never purges its
	// dated folders reaches it after ten years of two backups a day.
	MaxSets = 8000
	// maxAhead is how far ahead of the clock the date in a name may lie: two time
	// zones. What lies further ahead is the work of a wrong clock.
	maxAhead = 26 * time.Hour
	// oneRun is how far apart the dates in the names of the parts of one set may
	// lie: as long as a night.
	oneRun = 12 * time.Hour
)

// Layout says where backups stand, and how.
type Layout struct {
	Kind Kind // empty: Folder
	// Scan holds the folders that the kind speaks of, and what to leave out.
	Scan Options
	// Also are folders that belong to every set as they stand.
	Also []Root
	// Disks are the disks that may hold the folder; none: any will do.
	Disks []Disk
	// Now is the clock, against which dates in names are held. nil: they are not.
	Now func() time.Time
}

// Candidate is a set that stands in a source, as far as names tell.
type Candidate struct {
	// Name is what the source calls it. It may say something of the practice, so it
	// is for the console alone.
	Name  string
	Stamp Stamp // zero: the name tells no date
	opt   Options
	hint  int64 // newest change that shows without going deep
	disk  string
	// moved says that a backup renames what stood before: then a change of the
	// metadata tells of the renaming, and only the times of contents count.
	moved   bool
	members []string // of the root itself; nil: the whole root, or what is not skipped
}

// Scan lists the files of the candidate.
func (c Candidate) Scan(ctx context.Context) (Set, error) {
	set, err := c.scan(ctx)
	if err != nil {
		return Set{}, fmt.Errorf("scan source: %w", err)
	}
	return set, nil
}

func (c Candidate) scan(ctx context.Context) (Set, error) {
	set, err := scan(ctx, c.opt)
	if err != nil {
		return Set{}, err
	}
	set.d.name, set.d.stamp, set.d.disk, set.d.moved = c.Name, c.Stamp, c.disk, c.moved
	return set, refuseSigns(set)
}

// Found is what Find found.
type Found struct {
	// Sets are the candidates, newest first where the names tell; else by the newest
	// change that shows without going deep, which Newest makes exact.
	Sets []Candidate
	// Ahead counts names with a date in the future, which are left out.
	Ahead int
	// Away counts the folders of Computers that could not be reached.
	Away int
}

// Find lists the sets that stand in the source. None at all is an error.
func (l Layout) Find(ctx context.Context) (Found, error) {
	f, err := l.find(ctx)
	if err != nil {
		return Found{}, fmt.Errorf("find sets: %w", err)
	}
	return f, nil
}

func (l Layout) find(ctx context.Context) (Found, error) {
	if err := l.check(); err != nil {
		return Found{}, err
	}
	disk, err := l.disk()
	if err != nil {
		return Found{}, err
	}
	var found Found
	switch l.Kind {
	case Folder, Disks, "":
		found = l.whole()
	case Computers:
		found, err = l.computers(ctx)
	case Chain:
		found, err = l.chain(ctx)
	default:
		found, err = l.named()
	}
	for i := range found.Sets {
		found.Sets[i].disk = disk
	}
	return found, err
}

// named finds the sets that are told apart by what stands in one folder itself.
func (l Layout) named() (Found, error) {
	infos, _, err := resolve(l.Scan)
	if err != nil {
		return Found{}, err
	}
	top, err := l.top(infos[0])
	if err != nil {
		return Found{}, &RootError{infos[0].Path, err}
	}
	var found Found
	switch l.Kind {
	case Renamed:
		found.Sets = l.renamed(infos[0], top)
	case Archives:
		found.Sets, found.Ahead = l.archives(infos[0], top)
	case Dated:
		found.Sets, found.Ahead = l.dated(infos[0], top)
	case Weekdays:
		found.Sets = l.grouped(infos[0], top, slot)
	case Numbered:
		found.Sets = l.grouped(infos[0], top, func(name string) (string, bool) { return fmt.Sprint(number(name)), true })
	}
	switch {
	case len(top) == 0:
		return found, &RootError{infos[0].Path, ErrRootEmpty}
	case len(found.Sets) == 0:
		return found, &RootError{infos[0].Path, fmt.Errorf("%w of the layout %s", ErrNoSets, l.Kind)}
	case len(found.Sets) > MaxSets:
		return found, &RootError{infos[0].Path, ErrTooLarge}
	}
	return found, nil
}

// check refuses what no folder could make right.
func (l Layout) check() error {
	switch {
	case l.Kind != "" && !slices.Contains(Kinds(), l.Kind):
		return fmt.Errorf("there is no layout %.20q", l.Kind)
	case len(l.Scan.Roots) > 1 && l.Kind != "" && l.Kind != Folder && l.Kind != Computers:
		return fmt.Errorf("the layout %s takes one folder", l.Kind)
	case l.Kind == Disks && len(l.Disks) == 0:
		return errors.New("the layout disks needs the list of disks")
	}
	return nil
}

// top lists what stands in a folder itself.
func (l Layout) top(info RootInfo) ([]Entry, error) {
	root, err := openRoot(info.Resolved)
	if err != nil {
		return nil, unreadable(err)
	}
	defer root.close()
	w := walker{exclude: l.Scan.Exclude}
	var list []Entry
	err = root.list("", func(name string, e Entry) bool {
		e.Path = name
		if !w.excluded(name, e.Type == TypeDir) {
			list = append(list, e)
		}
		return len(list) <= MaxEntries
	})
	if err != nil {
		return nil, unreadable(err)
	}
	if len(list) > MaxEntries {
		return nil, ErrTooLarge
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// candidate makes a set of one root and of Also. The root has the name of the
// configured folder, whatever its own is, so that paths stay the same from set to
// set.
func (l Layout) candidate(name string, root Root, members []Entry) Candidate {
	if root.Name == "" {
		root.Name = filepath.Base(filepath.Clean(root.Path))
	}
	c := Candidate{Name: name, opt: l.Scan}
	c.opt.Roots = append([]Root{root}, l.Also...)
	for _, e := range members {
		c.hint = max(c.hint, lastChange(e))
	}
	return c
}

// whole is the one set of folders that are overwritten in place.
func (l Layout) whole() Found {
	c := Candidate{opt: l.Scan}
	c.opt.Roots = append(slices.Clone(l.Scan.Roots), l.Also...)
	return Found{Sets: []Candidate{c}}
}

// members makes a set of some of the things that stand in a folder itself.
func (l Layout) members(info RootInfo, name string, members []Entry) Candidate {
	in := make(map[string]bool, len(members))
	for _, e := range members {
		in[e.Path] = true
	}
	c := l.candidate(name, Root{Name: info.Name, Path: info.Path, skip: func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return !in[first]
	}}, members)
	for _, e := range members {
		c.members = append(c.members, e.Path)
	}
	return c
}

// shallow is the newest change of what stands in a folder itself. A folder's own
// time does not show what is rewritten in it.
func shallow(path string, moved bool) (newest int64) {
	root, err := openRoot(path)
	if err != nil {
		return 0
	}
	defer root.close()
	_ = root.list("", func(_ string, e Entry) bool {
		newest = max(newest, e.ModTime)
		if !moved {
			newest = max(newest, e.ChangeTime)
		}
		return true
	})
	return newest
}

// renamed tells the current set from those that were renamed.
func (l Layout) renamed(info RootInfo, top []Entry) []Candidate {
	names, bases := map[string]bool{}, map[string]int{}
	for _, e := range top {
		names[strings.ToLower(e.Path)] = true
		if base, _, ok := renamed(e.Path); ok && e.Type == TypeDir {
			bases[base]++
		}
	}
	var current, old []Entry
	for _, e := range top {
		base, sure, ok := renamed(e.Path)
		if ok && e.Type == TypeDir && (sure || names[base] || bases[base] > 1) {
			old = append(old, e)
		} else {
			current = append(current, e)
		}
	}
	var sets []Candidate
	if slices.ContainsFunc(current, func(e Entry) bool { return e.Type == TypeDir }) {
		was := make(map[string]bool, len(old))
		for _, e := range old {
			was[e.Path] = true
		}
		// Whatever is new belongs to the current set, unless it is one more that
		// was renamed: then the current one is no longer what it was.
		c := l.candidate("", Root{Name: info.Name, Path: info.Path, skip: func(path string) bool {
			first, _, _ := strings.Cut(path, "/")
			return was[first]
		}}, current)
		c.hint = maxTime // it comes first, whatever an older one's times say
		sets = append(sets, c)
	}
	for _, e := range old {
		c := l.members(info, e.Path, []Entry{e})
		c.hint, c.moved = shallow(filepath.Join(info.Resolved, e.Path), true), true
		sets = append(sets, c)
	}
	return newestFirst(sets)
}

const maxTime = 1<<63 - 1

// archives groups files by the dates in their names. Several files make one set
// when their names differ beside the date: a database and its images.
func (l Layout) archives(info RootInfo, top []Entry) ([]Candidate, int) {
	type file struct {
		Entry
		stamp Stamp
		stem  string
	}
	var files []file
	ahead := 0
	for _, e := range top {
		if e.Type != TypeFile {
			continue
		}
		s, stem := findStamp(e.Path, e.Modified())
		switch {
		case s.IsZero():
		case l.ahead(s):
			ahead++
		default:
			files = append(files, file{e, s, stem})
		}
	}
	slices.SortStableFunc(files, func(a, b file) int { return a.stamp.compare(b.stamp) })
	var sets []Candidate
	var group []Entry
	var stems map[string]bool
	var first Stamp
	flush := func() {
		if len(group) > 0 {
			c := l.members(info, group[0].Path, group)
			c.Stamp = first
			sets = append(sets, c)
		}
	}
	for _, f := range files {
		same := len(group) > 0 && !stems[f.stem] && f.stamp.In(time.UTC).Sub(first.In(time.UTC)) < oneRun
		if !same {
			flush()
			group, stems, first = nil, map[string]bool{}, f.stamp
		}
		group = append(group, f.Entry)
		stems[f.stem] = true
	}
	flush()
	return newestFirst(sets), ahead
}

func (l Layout) ahead(s Stamp) bool {
	return l.Now != nil && s.In(time.UTC).After(l.Now().Add(maxAhead))
}

// dated takes every sub-folder with a date in its name.
func (l Layout) dated(info RootInfo, top []Entry) ([]Candidate, int) {
	var sets []Candidate
	ahead := 0
	for _, e := range top {
		if e.Type != TypeDir {
			continue
		}
		s, _ := findStamp(e.Path, e.Modified())
		switch {
		case s.IsZero():
		case l.ahead(s):
			ahead++
		default:
			c := l.candidate(e.Path, Root{Name: info.Name, Path: filepath.Join(info.Path, e.Path)}, []Entry{e})
			c.Stamp = s
			sets = append(sets, c)
		}
	}
	return newestFirst(sets), ahead
}

// grouped makes a set of the things that share a key: a folder by itself is the
// root of its set, else they are members of the configured folder.
func (l Layout) grouped(info RootInfo, top []Entry, key func(name string) (string, bool)) []Candidate {
	groups := map[string][]Entry{}
	for _, e := range top {
		if k, ok := key(e.Path); ok && (e.Type == TypeFile || e.Type == TypeDir) {
			groups[k] = append(groups[k], e)
		}
	}
	var sets []Candidate
	for _, members := range groups {
		c := l.members(info, members[0].Path, members)
		if len(members) == 1 && members[0].Type == TypeDir {
			c = l.candidate(members[0].Path, Root{Name: info.Name, Path: filepath.Join(info.Path, members[0].Path)}, members)
		}
		c.hint, c.moved = 0, l.Kind == Numbered
		for _, e := range members {
			c.hint = max(c.hint, e.ModTime)
			if e.Type == TypeDir {
				c.hint = max(c.hint, shallow(filepath.Join(info.Resolved, e.Path), c.moved))
			} else if !c.moved {
				c.hint = max(c.hint, e.ChangeTime)
			}
		}
		sets = append(sets, c)
	}
	return newestFirst(sets)
}

// computers makes a set of each folder. One that cannot be reached belongs to a PC
// that is switched off, which is normal as long as another can be.
func (l Layout) computers(ctx context.Context) (Found, error) {
	var found Found
	var first error
	for _, r := range l.Scan.Roots {
		opt := l.Scan
		opt.Roots = []Root{r}
		infos, _, err := resolve(opt)
		if err == nil {
			// All have the same name, so that paths do not tell the PCs apart.
			root := Root{Name: cmp.Or(r.Name, "computer"), Path: infos[0].Path}
			c := l.candidate(infos[0].Path, root, nil)
			c.hint = shallow(infos[0].Resolved, false)
			found.Sets = append(found.Sets, c)
			continue
		}
		if !errors.Is(err, ErrRootMissing) && !errors.Is(err, ErrRootUnreadable) {
			return Found{}, err
		}
		found.Away++
		first = cmp.Or(first, err)
	}
	if len(found.Sets) == 0 {
		return found, first
	}
	found.Sets = newestFirst(found.Sets)
	return found, context.Cause(ctx)
}

func newestFirst(sets []Candidate) []Candidate {
	slices.SortStableFunc(sets, func(a, b Candidate) int {
		return cmp.Or(b.Stamp.compare(a.Stamp), cmp.Compare(b.hint, a.hint), strings.Compare(b.Name, a.Name))
	})
	return sets
}
