package source_test

import (
	"os"
	"testing"

	"offsite/uploader/source"
)

func TestEntriesDifferByAnythingThatTellsStatesApart(t *testing.T) {
	t.Parallel()
	id := source.FileID{Device: 1, Index: 2}
	base := source.Entry{Path: "x", Size: 5, ModTime: 6, ChangeTime: 7, ID: id, Mode: 0o600, Attributes: 32, Type: source.TypeFile}
	for _, c := range []struct {
		name   string
		change func(*source.Entry)
		same   bool
	}{
		{"nothing", func(*source.Entry) {}, true},
		{"size", func(e *source.Entry) { e.Size++ }, false},
		{"time", func(e *source.Entry) { e.ModTime++ }, false},
		{"change time", func(e *source.Entry) { e.ChangeTime++ }, false},
		{"no change time kept", func(e *source.Entry) { e.ChangeTime = 0 }, true},
		{"id", func(e *source.Entry) { e.ID.Index++ }, false},
		{"no id kept", func(e *source.Entry) { e.ID = source.FileID{} }, true},
		{"mode", func(e *source.Entry) { e.Mode++ }, false},
		{"owner", func(e *source.Entry) { e.UID++ }, false},
		{"group", func(e *source.Entry) { e.GID++ }, false},
		{"attributes", func(e *source.Entry) { e.Attributes++ }, false},
		{"type", func(e *source.Entry) { e.Type = source.TypeSymlink }, false},
		{"link target", func(e *source.Entry) { e.LinkTarget = "y" }, false},
		{"readable", func(e *source.Entry) { e.Err = os.ErrPermission }, false},
	} {
		other := base
		c.change(&other)
		if source.SameEntry(&base, &other) != c.same || source.SameEntry(&other, &base) != c.same {
			t.Errorf("%s: same should be %v", c.name, c.same)
		}
	}
}
