package main

// layout is how a practice's backups stand, as far as the checks see it: source
// picks the newest set out of each, so that a set of dated folders looks like one
// folder.
type layout struct {
	name string
	// fresh: the folder is a new one each time, so that a copy that was stopped leaves
	// gaps; otherwise it leaves what was there before.
	fresh bool
	// copies is how many folders take turns: disks, or computers.
	copies int
	// packed: the set is one archive of the database, not a tree.
	packed string
	// log is what the backup program keeps: "lines", "robocopy" or nothing.
	log string
	// apart: the images stand in a root of their own.
	apart bool
}

// layouts are those that practices have.
var layouts = [...]layout{
	{name: "folder", copies: 1, log: "lines"},
	{name: "renamed", copies: 1, fresh: true},
	{name: "archives", packed: "zip", fresh: true},
	{name: "dated", copies: 1, fresh: true, log: "robocopy"},
	{name: "weekdays", packed: "bak"},
	{name: "numbered", packed: "bdf"},
	{name: "disks", copies: 5, log: "lines"},
	{name: "computers", copies: 3, log: "lines"},
	{name: "chain", packed: "chain", fresh: true},
	{name: "roots", copies: 1, apart: true, log: "lines"},
}

func layoutNames() (names []string) {
	for _, l := range layouts {
		names = append(names, l.name)
	}
	return names
}

func layoutNamed(name string) (layout, bool) {
	for _, l := range layouts {
		if l.name == name {
			return l, true
		}
	}
	return layout{}, false
}
