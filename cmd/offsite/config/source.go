package config

import (
	"fmt"
	"slices"
	"strings"

	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// Source is the folder or folders that the practice system writes its backups to.
type Source struct {
	Name     string   `yaml:"name" need:"yes"`
	Profile  string   `yaml:"profile"`
	Layout   string   `yaml:"layout"`
	Folders  []Path   `yaml:"folders" need:"yes" max:"64"`
	Also     []Path   `yaml:"also" max:"64"`
	Disks    []Disk   `yaml:"disks" max:"64"`
	Live     Path     `yaml:"live"`
	Exclude  []string `yaml:"exclude" max:"256"`
	Quiet    Duration `yaml:"quiet" min:"1s" max:"24h"`
	Done     string   `yaml:"done"`
	Required []string `yaml:"required" max:"256"`
}

// Disk is one of several that take turns under one path.
type Disk struct {
	Name   string `yaml:"name" need:"yes"`
	Serial string `yaml:"serial"`
	Marker string `yaml:"marker"`
}

// ProfileIsFile says whether the profile is named by the path of a file rather than by
// the name of a built-in one.
func (s *Source) ProfileIsFile() bool { return strings.ContainsAny(s.Profile, `./\`) }

func (s *Source) resolve(abs func(*Path)) {
	if s.ProfileIsFile() {
		path := Path(s.Profile)
		abs(&path)
		s.Profile = string(path)
	}
	abs(&s.Live)
	for _, list := range [][]Path{s.Folders, s.Also} {
		for i := range list {
			abs(&list[i])
		}
	}
}

// check finds what no single value shows.
func (s *Source) check(d *decoder) {
	if !namePattern.MatchString(s.Name) {
		d.problemAt("source.name", fmt.Sprintf("%q is not a name", s.Name), nameHint)
	}
	if !s.ProfileIsFile() {
		d.oneOf("source.profile", "profile", s.Profile, verify.Builtins())
	}
	var kinds []string
	for _, k := range source.Kinds() {
		kinds = append(kinds, string(k))
	}
	d.oneOf("source.layout", "layout", s.Layout, kinds)
	kind := source.Kind(s.Layout)
	if len(s.Folders) > 1 && kind != source.Folder && kind != source.Computers && slices.Contains(kinds, s.Layout) {
		d.problemAt("source.folders", fmt.Sprintf("the layout %s takes one folder", kind), "move the folders that belong to every set to the key also")
	}
	if kind == source.Disks && len(s.Disks) == 0 {
		d.problemAt("source.layout", "the layout disks needs the list disks", "name each disk with its serial number or marker: offsite doctor shows the serial number")
	}
	s.checkDisks(d)
	for i, list := range [][]string{s.Exclude, s.Required, {s.Done}} {
		for j, text := range list {
			if i == 2 && text == "" {
				continue
			}
			if _, err := source.ParsePattern(text); err != nil {
				key := []string{fmt.Sprintf("source.exclude[%d]", j), fmt.Sprintf("source.required[%d]", j), "source.done"}[i]
				d.problemAt(key, err.Error(), "write a relative path with * for any name and ** for any folders")
			}
		}
	}
}

func (s *Source) checkDisks(d *decoder) {
	seen := map[string]bool{}
	for i, disk := range s.Disks {
		block := fmt.Sprintf("source.disks[%d]", i)
		switch {
		case !namePattern.MatchString(disk.Name):
			d.problemAt(block+".name", fmt.Sprintf("%q is not a name", disk.Name), nameHint)
		case seen[disk.Name]:
			d.problemAt(block+".name", fmt.Sprintf("two disks are called %q", disk.Name), "give each disk a name of its own")
		case disk.Serial == "" && disk.Marker == "":
			d.problemAt(block, "nothing tells this disk from others", "give its serial, or as marker the name of a file that you put at its top")
		case strings.ContainsAny(disk.Marker, `/\`):
			d.problemAt(block+".marker", "a marker is the name of a file at the top of the disk", "write the name alone")
		}
		seen[disk.Name] = true
	}
}
