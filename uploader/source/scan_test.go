package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/uploader/source"
)

func TestScanListsEverythingInByteOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make []string
		want []string
	}{
		{"flat", []string{"b", "a", "B"}, []string{"B", "a", "b"}},
		{
			"a folder's files stand behind names that continue it with a smaller byte",
			[]string{"a/x", "a-b/y", "a.txt", "a b", "a0"},
			[]string{"a/", "a b", "a-b/", "a-b/y", "a.txt", "a/x", "a0"},
		},
		{"empty folders", []string{"empty/", "deep/er/"}, []string{"deep/", "deep/er/", "empty/"}},
		{
			"spaces and other scripts",
			[]string{"Müller, Jörg/Röntgen 1.dcm", " lead", "трубa/图像", "emoji 🦷"},
			[]string{
				" lead", "Müller, Jörg/", "Müller, Jörg/Röntgen 1.dcm", "emoji 🦷",
				"трубa/", "трубa/图像",
			},
		},
		{
			"links are kept and not followed",
			[]string{"dir/file", "out -> /etc", "loop -> .", "dir/up -> ..", "gone -> nowhere", "in -> dir/file"},
			[]string{"dir/", "dir/file", "dir/up -> ..", "gone -> nowhere", "in -> dir/file", "loop -> .", "out -> /etc"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, workers := range []int{0, 1, 16} {
				opt := one(tree(t, c.make...))
				opt.Workers = workers
				got := listing(scan(t, opt))
				expect(t, got, c.want)
			}
		})
	}
}

func TestScanOrderIsThatOfPathsInALargeTree(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 2000 {
		sep := []string{"/", "-", "", ".", "!/", "~"}
		names = append(names, fmt.Sprintf("d%d%sx%d%sf%d", i%7, sep[i%6], i%31, sep[i%5%3*2%6], i))
	}
	set := scanRoot(t, tree(t, names...))
	var paths []string
	for e := range set.Entries() {
		paths = append(paths, e.Path)
		if found, ok := set.Find(e.Path); !ok || found.Path != e.Path {
			t.Errorf("entry %q is listed but not found", e.Path)
		}
	}
	if !slices.IsSorted(paths) || len(paths) < 2000 {
		t.Errorf("%d paths, sorted: %v", len(paths), slices.IsSorted(paths))
	}
	if _, ok := set.Find("d0"); !ok {
		t.Error("a folder is missing")
	}
	if _, ok := set.Find("nothing"); ok {
		t.Error("found what is not there")
	}
}

func TestScanDescribesFiles(t *testing.T) {
	t.Parallel()
	root := tree(t, "file", "dir/")
	when := time.Date(2026, 11, 20, 18, 30, 5, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(root, "file"), when, when))
	must(t, os.Truncate(filepath.Join(root, "file"), 5<<30))
	must(t, os.Chtimes(filepath.Join(root, "file"), when, when))
	set := scanRoot(t, root)
	e, _ := set.Find("file")
	if e.Size != 5<<30 || !e.Modified().Equal(when) || e.Type != source.TypeFile || e.Type.String() != "file" {
		t.Errorf("got %+v", e)
	}
	if (e.ID == source.FileID{}) || e.ChangeTime == 0 {
		t.Errorf("no identity in %+v", e)
	}
	if got, want := set.Totals(), (source.Totals{Files: 1, Dirs: 1, Bytes: 5 << 30}); got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
	if n := set.Newest(); time.Since(n) > time.Hour {
		t.Errorf("newest change is %v although the file was just made", n)
	}
}

func TestScanLeavesOutWhatIsExcluded(t *testing.T) {
	t.Parallel()
	root := tree(t, "keep", "a.TMP", "sub/b.tmp", "old/x", "old/deep/y", "sub/old/z", "logfiles/backup.log")
	opt := one(root)
	opt.Exclude = patterns(t, "*.tmp", "/old/", "/logfiles/**")
	set := scan(t, opt)
	expect(t, listing(set), []string{"keep", "logfiles/", "sub/", "sub/old/", "sub/old/z"})
	if n := set.Totals().Excluded; n != 4 {
		t.Errorf("%d excluded, want 4", n)
	}
}

func TestNewestLeavesOutFoldersThatExcludedFilesTouch(t *testing.T) {
	t.Parallel()
	root := tree(t, "file", "sub/app.lock")
	late := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(root, "sub"), late, late))
	opt := one(root)
	if n := scan(t, opt).Newest(); !n.Equal(late) {
		t.Errorf("newest change %v, want that of the folder", n)
	}
	opt.Exclude = patterns(t, "*.lock")
	if n := scan(t, opt).Newest(); n.After(time.Now().Add(time.Hour)) {
		t.Errorf("newest change %v is that of a folder in which something is excluded", n)
	}
}

func TestScanLeavesOutWhatVanishesMeanwhile(t *testing.T) {
	t.Parallel()
	root := tree(t, "stays")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for i := range 50 {
				_ = os.WriteFile(filepath.Join(root, fmt.Sprint("temporary", i)), nil, 0o644)
			}
			for i := range 50 {
				_ = os.Remove(filepath.Join(root, fmt.Sprint("temporary", i)))
			}
		}
	}()
	for range 300 {
		if n := scanRoot(t, root).Totals().Unreadable; n != 0 {
			t.Fatalf("%d vanished files are reported as unreadable", n)
		}
	}
	cancel()
	<-done
}

func TestScanJoinsSeveralRoots(t *testing.T) {
	t.Parallel()
	a, b := tree(t, "patient.MYD", "x/y"), tree(t, "A/1.jpg", "x/z")
	opt := source.Options{
		Roots:   []source.Root{{Name: "images", Path: b}, {Name: "database", Path: a}},
		Exclude: patterns(t, "/x/z"),
	}
	set := scan(t, opt)
	expect(t, listing(set), []string{
		"database/", "database/patient.MYD", "database/x/", "database/x/y",
		"images/", "images/A/", "images/A/1.jpg", "images/x/",
	})
	e, _ := set.Find("images/A/1.jpg")
	if got := set.Within(e); got != "A/1.jpg" {
		t.Errorf("path within its root is %q", got)
	}
	f, err := set.Open(e)
	must(t, err)
	must(t, f.Close())
	for _, path := range []string{"other/x", "images", "", "images/../database/patient.MYD"} {
		if f, err := set.Open(source.Entry{Path: path}); err == nil {
			_ = f.Close()
			t.Errorf("opened %q", path)
		}
	}
}

func TestScanRefusesRoots(t *testing.T) {
	t.Parallel()
	root := tree(t, "file", "sub/x", "bare/", "link -> sub", "dangling -> nowhere", "tolink/", "tolink/in -> ../sub")
	at := func(name string) source.Root { return source.Root{Path: filepath.Join(root, name)} }
	named := func(n, name string) source.Root { return source.Root{Name: n, Path: filepath.Join(root, name)} }
	for _, c := range []struct {
		name   string
		roots  []source.Root
		follow bool
		want   error
	}{
		{"missing", []source.Root{at("nowhere")}, false, source.ErrRootMissing},
		{"no path", []source.Root{{}}, false, source.ErrRootMissing},
		{"a file", []source.Root{at("file")}, false, source.ErrRootNotFolder},
		{"below a file", []source.Root{at("file/x")}, false, source.ErrRootUnreadable},
		{"empty", []source.Root{at("bare")}, false, source.ErrRootEmpty},
		{"one of two is empty", []source.Root{at("sub"), at("bare")}, false, source.ErrRootEmpty},
		{"a link", []source.Root{at("link")}, false, source.ErrRootLink},
		{"a link to nothing", []source.Root{at("dangling")}, true, source.ErrRootMissing},
		{"twice the same", []source.Root{named("a", "sub"), named("b", "sub")}, false, source.ErrRootOverlap},
		{"one in the other", []source.Root{named("a", "sub"), named("b", "")}, false, source.ErrRootOverlap},
		{"the same by a link", []source.Root{named("a", "sub"), named("b", "link")}, true, source.ErrRootOverlap},
		{"two of a name", []source.Root{named("A", "sub"), named("a", "tolink")}, false, source.ErrRootName},
		{"a slash in a name", []source.Root{named("a/b", "sub"), named("c", "tolink")}, false, source.ErrRootName},
		{"dots as a name", []source.Root{named("..", "sub"), named("c", "tolink")}, false, source.ErrRootName},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, err := source.Scan(context.Background(), source.Options{Roots: c.roots, FollowRoot: c.follow})
			var re *source.RootError
			if !errors.Is(err, c.want) && !(c.name == "below a file" && errors.Is(err, source.ErrRootMissing)) || !errors.As(err, &re) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if set.Valid() {
				t.Error("a refused source gave a valid set")
			}
		})
	}
	if _, err := source.Scan(context.Background(), source.Options{}); err == nil {
		t.Error("a source without a root was accepted")
	}
}

func TestScanFollowsARootThatIsALinkOnce(t *testing.T) {
	t.Parallel()
	root := tree(t, "real/file", "real/self -> ../real", "link -> real")
	opt := one(filepath.Join(root, "link"))
	opt.FollowRoot = true
	set := scan(t, opt)
	expect(t, listing(set), []string{"file", "self -> ../real"})
	info := set.Roots()[0]
	real, err := filepath.EvalSymlinks(filepath.Join(root, "real"))
	must(t, err)
	if !info.Linked || info.Resolved != real || info.Path != filepath.Join(root, "link") || info.Name != "link" {
		t.Errorf("root reported as %+v", info)
	}
}

func TestScanRefusesLiveData(t *testing.T) {
	t.Parallel()
	base := tree(t, "exact/data/UNICONFIG6.FS5", "exact/backup/x", "elsewhere/y",
		"way -> exact/data", "round -> exact")
	at := func(name string) string { return filepath.Join(base, filepath.FromSlash(name)) }
	for _, c := range []struct {
		name, root, live string
		refused          bool
		unchecked        int
	}{
		{"the same", "exact/data", "exact/data", true, 0},
		{"source holds it", "exact", "exact/data", true, 0},
		{"source lies inside", "exact/data", "exact", true, 0},
		{"live by a link", "exact/data", "way", true, 0},
		{"source by a link", "way", "exact/data", true, 0},
		{"source inside by a link on the way", "round/data", "exact", true, 0},
		{"source holds it by a link", "round", "way", true, 0},
		{"beside it", "exact/backup", "exact/data", false, 0},
		{"a name that starts alike", "exact/backup", "exact/back", false, 1},
		{"switched off", "elsewhere", "server/share", false, 1},
		{"switched off, inside a folder that exists", "exact", "exact/offline", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opt := source.Options{Roots: []source.Root{{Path: at(c.root)}}, Live: []string{at(c.live)}, FollowRoot: true}
			set, err := source.Scan(context.Background(), opt)
			if errors.Is(err, source.ErrLive) != c.refused || !c.refused && err != nil {
				t.Errorf("error %v, refused should be %v", err, c.refused)
			}
			if err == nil && set.LiveUnchecked() != c.unchecked {
				t.Errorf("%d unchecked, want %d", set.LiveUnchecked(), c.unchecked)
			}
		})
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := source.Scan(ctx, one(tree(t, "x"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestZeroSetIsNothing(t *testing.T) {
	t.Parallel()
	var s source.Set
	if s.Valid() || s.Len() != 0 || !s.Newest().IsZero() || s.Roots() != nil || s.Quiet() != 0 {
		t.Error("the zero set claims to hold something")
	}
	if _, err := s.Recheck(context.Background()); !errors.Is(err, source.ErrNoSet) {
		t.Errorf("recheck: %v", err)
	}
	if _, err := s.Open(source.Entry{Path: "x"}); !errors.Is(err, source.ErrNoSet) {
		t.Errorf("open: %v", err)
	}
}

func TestRecheckNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(t *testing.T, root string)
		want []string
	}{
		{"nothing", func(*testing.T, string) {}, nil},
		{"added", func(t *testing.T, root string) { add(t, root, "b/new") }, []string{"added b/new"}},
		{"removed", func(t *testing.T, root string) { must(t, os.Remove(filepath.Join(root, "a"))) }, []string{"removed a"}},
		{"grown", func(t *testing.T, root string) {
			must(t, os.WriteFile(filepath.Join(root, "b", "c"), []byte("longer than before"), 0o644))
		}, []string{"changed b/c"}},
		{"same size and time, but another file", func(t *testing.T, root string) {
			path := filepath.Join(root, "a")
			st, err := os.Stat(path)
			must(t, err)
			must(t, os.WriteFile(path+".new", []byte("A"), 0o644))
			must(t, os.Chtimes(path+".new", st.ModTime(), st.ModTime()))
			must(t, os.Rename(path+".new", path))
		}, []string{"changed a"}},
		{"same size and time, rewritten in place", func(t *testing.T, root string) {
			path := filepath.Join(root, "a")
			st, err := os.Stat(path)
			must(t, err)
			was := scanRoot(t, root).At(0).ChangeTime
			for range 10_000 { // until the file system's clock has moved
				must(t, os.WriteFile(path, []byte("b"), 0o644))
				must(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
				if scanRoot(t, root).At(0).ChangeTime != was {
					break
				}
			}
		}, []string{"changed a"}},
		{"a file became a folder", func(t *testing.T, root string) {
			must(t, os.Remove(filepath.Join(root, "a")))
			add(t, root, "a/x")
		}, []string{"changed a", "added a/x"}},
		{"a folder's time alone", func(t *testing.T, root string) {
			must(t, os.Chtimes(filepath.Join(root, "b"), time.Unix(1, 0), time.Unix(1, 0)))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, "a", "b/c", "d/")
			set := scanRoot(t, root)
			c.do(t, root)
			changes, err := set.Recheck(context.Background())
			must(t, err)
			var got []string
			for _, ch := range changes {
				got = append(got, ch.Kind.String()+" "+ch.Path)
			}
			expect(t, got, c.want)
		})
	}
}

func TestRecheckFailsWhenTheRootIsGone(t *testing.T) {
	t.Parallel()
	root := tree(t, "a")
	set := scanRoot(t, root)
	must(t, os.RemoveAll(root))
	if _, err := set.Recheck(context.Background()); !errors.Is(err, source.ErrRootMissing) {
		t.Errorf("got %v", err)
	}
}

func TestScanReachesVeryLongPaths(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long folder name ", 10)
	name := strings.Repeat(long+"/", 12) + "file.dcm" // about 2,000 characters
	root := tree(t, name)
	set := scanRoot(t, root)
	e, ok := set.Find(name)
	if !ok {
		t.Fatal("the file was not listed")
	}
	f, err := set.Open(e)
	must(t, err)
	defer f.Close()
	buf := make([]byte, len(name)+1)
	if n, _ := f.ReadAt(buf, 0); string(buf[:n]) != name {
		t.Error("read something else")
	}
}
