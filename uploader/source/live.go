package source

import (
	"context"
	"fmt"
)

// liveLooks is how many entries of a live folder are compared one by one: enough
// for every table of a database, and quick over a share. Folders are taken level by
// level, because databases stand at the top and images below.
const liveLooks = 20_000

// refuseLinked refuses a set that holds a file of a live folder under another name:
// a hard link, or a folder that is mounted from inside of it. What cannot be listed
// is passed over; that a live folder is out of reach is counted elsewhere.
func refuseLinked(ctx context.Context, set Set) error {
	for _, live := range set.d.opt.Live {
		ids := liveFiles(ctx, live)
		if len(ids) == 0 {
			continue
		}
		for e := range set.Entries() {
			if e.Type == TypeFile && e.ID != (FileID{}) && ids[e.ID] {
				return &RootError{set.d.roots[0].Path, fmt.Errorf("%w (a file in it is also a file of the live folder %s)", ErrLive, live)}
			}
		}
	}
	return context.Cause(ctx)
}

// liveFiles are the ids of the files in a live folder.
func liveFiles(ctx context.Context, path string) map[FileID]bool {
	root, err := openRoot(path)
	if err != nil {
		return nil
	}
	defer root.close()
	ids := map[FileID]bool{}
	seen := 0
	for level := []string{""}; len(level) > 0 && seen < liveLooks && ctx.Err() == nil; {
		var next []string
		for _, dir := range level {
			_ = root.list(dir, func(name string, e Entry) bool {
				seen++
				if dir != "" {
					name = dir + "/" + name
				}
				switch {
				case e.Type == TypeDir:
					next = append(next, name)
				case e.Type == TypeFile && e.ID != (FileID{}):
					ids[e.ID] = true
				}
				return seen < liveLooks
			})
			if seen >= liveLooks {
				break
			}
		}
		level = next
	}
	return ids
}
