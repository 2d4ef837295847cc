package source_test

import (
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

// now is when the tests of layouts take place.
var now = time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)

// aged makes a tree whose things are so many hours old: "36h name".
func aged(t *testing.T, names ...string) string {
	t.Helper()
	root := tree(t)
	for _, line := range names {
		age, name, _ := strings.Cut(line, " ")
		add(t, root, name)
		d, err := time.ParseDuration(age)
		must(t, err)
		path := filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(name, "/")))
		for ; path != root; path = filepath.Dir(path) {
			must(t, os.Chtimes(path, time.Time{}, now.Add(-d)))
		}
	}
	return root
}

func layout(kind source.Kind, roots ...string) source.Layout {
	l := source.Layout{Kind: kind, Now: func() time.Time { return now }}
	for _, r := range roots {
		l.Scan.Roots = append(l.Scan.Roots, source.Root{Path: r})
	}
	return l
}

// TestLayoutsFindTheirSets compares the files of every set, newest first.
func TestLayoutsFindTheirSets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		kind source.Kind
		tree []string
		want []string // files of each set
	}{
		{"one folder", source.Folder, []string{"1h a", "2h sub/b"}, []string{"a sub/b"}},
		{"renamed, as Open Dental does", source.Renamed,
			[]string{"1h opendental/patient.MYD", "1h OpenDentImages/A/x.jpg", "24h opendentalbackup_1/patient.MYD", "72h opendentalbackup_2/patient.MYD"},
			[]string{"OpenDentImages/A/x.jpg opendental/patient.MYD", "opendentalbackup_1/patient.MYD", "opendentalbackup_2/patient.MYD"}},
		{"renamed with a number alone", source.Renamed, []string{"1h data/a", "24h data.1/a", "48h data (2)/a"},
			[]string{"data/a", "data.1/a", "data (2)/a"}},
		{"renamed, and the new one is not there yet", source.Renamed, []string{"24h clinicbackup_1/a", "48h clinicbackup_2/a"},
			[]string{"clinicbackup_1/a", "clinicbackup_2/a"}},
		{"a name with a number is no predecessor", source.Renamed, []string{"1h clinic_2/a"}, []string{"clinic_2/a"}},
		{"archives, two a day", source.Archives,
			[]string{"1h EQ_20261120_2100.zip", "9h EQ_20261120_1300.zip", "25h EQ_20261119_2100.zip", "1h readme.txt"},
			[]string{"EQ_20261120_2100.zip", "EQ_20261120_1300.zip", "EQ_20261119_2100.zip"}},
		{"archives of several parts", source.Archives,
			[]string{"2h db_2026-11-20.bak", "1h db_2026-11-20.md5", "1h images_2026-11-20.zip", "26h db_2026-11-19.bak", "25h images_2026-11-19.zip"},
			[]string{"db_2026-11-20.bak db_2026-11-20.md5 images_2026-11-20.zip", "db_2026-11-19.bak images_2026-11-19.zip"}},
		{"archives of the future", source.Archives, []string{"1h Backup202611201700.zip", "1h Backup209901011700.zip"},
			[]string{"Backup202611201700.zip"}},
		{"archives with the day first", source.Archives, []string{"1h b 20-11-2026.zip", "25h b 19-11-2026.zip", "400h b 04-11-2026.zip"},
			[]string{"b 20-11-2026.zip", "b 19-11-2026.zip", "b 04-11-2026.zip"}},
		{"dated folders", source.Dated, []string{"1h 2026-11-20/db", "24h 2026-11-19/db", "1h notes/x", "1h 2099-01-01/db"},
			[]string{"db", "db"}},
		{"weekday files", source.Weekdays, []string{"1h CCData_Friday.bak", "24h CCData_Thursday.bak", "96h CCData_Monday.bak", "1h log.txt"},
			[]string{"CCData_Friday.bak", "CCData_Thursday.bak", "CCData_Monday.bak"}},
		{"weekday numbers", source.Weekdays, []string{"1h d6.zip", "24h d5.zip", "144h d7.zip"}, []string{"d6.zip", "d5.zip", "d7.zip"}},
		{"weekday folders in another language", source.Weekdays, []string{"24h donderdag/a", "1h vrijdag/a"}, []string{"a", "a"}},
		{"numbered", source.Numbered, []string{"1h Backup.BDF", "25h BackupArchive001.BDF", "49h BackupArchive002.BDF"},
			[]string{"Backup.BDF", "BackupArchive001.BDF", "BackupArchive002.BDF"}},
		{"numbered the other way round", source.Numbered, []string{"49h b.1.zip", "25h b.2.zip", "1h b.3.zip"}, []string{"b.3.zip", "b.2.zip", "b.1.zip"}},
		{"a chain", source.Chain,
			[]string{"1h JobD2026-11-20T220012.vib", "24h JobD2026-11-19T220012.vib", "48h JobD2026-11-18T220012.vbk", "72h JobD2026-11-17T220012.vib", "170h JobD2026-11-10T220012.vbk", "1h Job.vbm"},
			[]string{"Job.vbm JobD2026-11-18T220012.vbk JobD2026-11-19T220012.vib JobD2026-11-20T220012.vib"}},
		{"chains of a database server", source.Chain,
			[]string{"1h pr/DIFF/SRV_pr_DIFF_20261120_210000.bak", "50h pr/FULL/SRV_pr_FULL_20261118_210000.bak", "1h pr/LOG/SRV_pr_LOG_20261120_213000.trn",
				"300h pr/FULL/SRV_pr_FULL_20261107_210000.bak", "60h pr/LOG/SRV_pr_LOG_20261118_100000.trn"},
			[]string{"pr/DIFF/SRV_pr_DIFF_20261120_210000.bak pr/FULL/SRV_pr_FULL_20261118_210000.bak pr/LOG/SRV_pr_LOG_20261120_213000.trn"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := layout(c.kind, aged(t, c.tree...)).Find(t.Context())
			must(t, err)
			var got []string
			for _, s := range found.Sets {
				set, err := s.Scan(t.Context())
				must(t, err)
				got = append(got, files(set))
			}
			if c.kind == source.Weekdays || c.kind == source.Numbered || c.kind == source.Renamed {
				// Names tell no order; the newest is what counts. Change times, which
				// no test can set, stand in for it otherwise.
				slices.Sort(got)
				slices.Sort(c.want)
			}
			expect(t, got, c.want)
		})
	}
}

func files(set source.Set) string {
	var names []string
	for e := range set.Entries() {
		if e.Type == source.TypeFile {
			names = append(names, e.Path)
		}
	}
	return strings.Join(names, " ")
}

func TestLayoutsRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		kind source.Kind
		tree []string
		want error
	}{
		{"an empty folder", source.Dated, nil, source.ErrRootEmpty},
		{"no date in any name", source.Dated, []string{"1h x/a"}, source.ErrNoSets},
		{"dates that do not exist", source.Archives, []string{"1h b20261320.zip", "1h b20260231.zip"}, source.ErrNoSets},
		{"increments alone", source.Chain, []string{"1h JobD2026-11-20T220012.vib", "1h Job.vbm"}, source.ErrNoFull},
		{"nothing of a chain", source.Chain, []string{"1h notes.txt"}, source.ErrNoSets},
		{"a disk that nobody knows", source.Disks, []string{"1h a"}, source.ErrDisk},
	} {
		l := layout(c.kind, aged(t, c.tree...))
		if c.kind == source.Disks {
			l.Disks = []source.Disk{{Name: "mon", Marker: "DISK-MON.txt"}, {Name: "tue", Serial: "0000-0000"}, {Name: "none"}}
		}
		if _, err := l.Find(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	l := layout("hourly", tree(t, "a"))
	if _, err := l.Find(t.Context()); err == nil {
		t.Error("a layout that there is not")
	}
	if _, err := layout(source.Dated, tree(t, "a"), tree(t, "b")).Find(t.Context()); err == nil {
		t.Error("two folders of dated folders")
	}
}

func TestNewestFollowsWhatIsInTheSets(t *testing.T) {
	t.Parallel()
	root := tree(t, "Backup.BDF", "BackupArchive001.BDF", "BackupArchive002.BDF")
	at := func(name string) string { return filepath.Join(root, name) }
	for i, name := range []string{"Backup.BDF", "BackupArchive001.BDF", "BackupArchive002.BDF"} {
		must(t, os.Chtimes(at(name), time.Time{}, now.AddDate(0, 0, -i)))
	}
	l := layout(source.Numbered, root)
	set, err := l.Newest(t.Context())
	must(t, err)
	if set.Name() != "Backup.BDF" || !set.Moment().Equal(now) {
		t.Errorf("%s of %v", set.Name(), set.Moment())
	}
	renewed, err := set.Renewed(t.Context())
	if must(t, err); renewed {
		t.Error("renewed, but nothing happened")
	}
	// The names shift and nothing new comes: the newest is what it was.
	must(t, os.Rename(at("BackupArchive002.BDF"), at("BackupArchive003.BDF")))
	must(t, os.Rename(at("BackupArchive001.BDF"), at("BackupArchive002.BDF")))
	must(t, os.Rename(at("Backup.BDF"), at("BackupArchive001.BDF")))
	set, err = l.Newest(t.Context())
	must(t, err)
	if !set.Moment().Equal(now) {
		t.Errorf("after a shift without a backup the newest is of %v", set.Moment())
	}
	add(t, root, "Backup.BDF")
	must(t, os.Chtimes(at("Backup.BDF"), time.Time{}, now.Add(time.Hour)))
	if renewed, err = set.Renewed(t.Context()); err != nil || !renewed {
		t.Errorf("a new backup was not noticed: %v", err)
	}
}

func TestPickTakesTheSetThatIsAskedFor(t *testing.T) {
	t.Parallel()
	l := layout(source.Dated, aged(t, "1h 2026-11-20/db", "24h 2026-11-19/db", "30h 2026-11-19 0400/", "48h 2026-11-18/db"))
	of := func(day int) func(source.Set) bool {
		return func(s source.Set) bool { return s.Stamp().Day == day }
	}
	set, err := l.Pick(t.Context(), of(19))
	must(t, err)
	if set.Name() != "2026-11-19" || files(set) != "db" {
		t.Errorf("got %q with %q", set.Name(), files(set))
	}
	if _, err := l.Pick(t.Context(), of(17)); !errors.Is(err, source.ErrNoDay) {
		t.Errorf("a day that is not there: %v", err)
	}
}

func TestArchivesNoticeAPartThatComesLate(t *testing.T) {
	t.Parallel()
	root := aged(t, "1h db_2026-11-20.bak", "25h db_2026-11-19.bak")
	set, err := layout(source.Archives, root).Newest(t.Context())
	must(t, err)
	add(t, root, "other_2026-11-10.bak") // no part of it
	changes, err := set.Recheck(t.Context())
	if must(t, err); len(changes) != 0 {
		t.Errorf("changed: %v", changes)
	}
	add(t, root, "images_2026-11-20.zip")
	changes, err = set.Recheck(t.Context())
	if must(t, err); len(changes) != 1 || changes[0].Path != "images_2026-11-20.zip" {
		t.Errorf("changed: %v", changes)
	}
}

func TestAlsoBelongsToEverySet(t *testing.T) {
	t.Parallel()
	l := layout(source.Dated, aged(t, "1h 2026-11-20/db", "24h 2026-11-19/db"))
	images := filepath.Join(temp(t), "images")
	must(t, os.Mkdir(images, 0o755))
	add(t, images, "x.jpg")
	l.Also = []source.Root{{Path: images}}
	found, err := l.Find(t.Context())
	must(t, err)
	for _, c := range found.Sets {
		set, err := c.Scan(t.Context())
		must(t, err)
		if files(set) != "databackup/db images/x.jpg" {
			t.Errorf("got %q", files(set))
		}
	}
	must(t, os.RemoveAll(images))
	if _, err := found.Sets[0].Scan(t.Context()); !errors.Is(err, source.ErrRootMissing) {
		t.Errorf("without the images: %v", err)
	}
}

func TestComputersTakeTheNewestThatIsThere(t *testing.T) {
	t.Parallel()
	pc1, pc2 := tree(t, "UNICONFIG6.FS5"), tree(t)
	add(t, pc2, "UNICONFIG6.FS5")
	l := layout(source.Computers, pc1, filepath.Join(temp(t), "off"), pc2)
	found, err := l.Find(t.Context())
	must(t, err)
	if len(found.Sets) != 2 || found.Away != 1 {
		t.Errorf("%d sets, %d away", len(found.Sets), found.Away)
	}
	set, err := l.Newest(t.Context())
	must(t, err)
	if set.Name() != pc2 || files(set) != "UNICONFIG6.FS5" {
		t.Errorf("took %s: %s", set.Name(), files(set))
	}
	newer := time.Now().Add(time.Hour) // the steps of the clock are too coarse for a test
	must(t, os.Chtimes(filepath.Join(pc1, "UNICONFIG6.FS5"), newer, newer))
	renewed, err := set.Renewed(t.Context())
	if must(t, err); !renewed {
		t.Error("the other PC's backup was not noticed")
	}
	if _, err := layout(source.Computers, filepath.Join(temp(t), "off")).Find(t.Context()); !errors.Is(err, source.ErrRootMissing) {
		t.Errorf("all are off: %v", err)
	}
}

func TestDisksAreKnownByMarkerAndSerial(t *testing.T) {
	t.Parallel()
	root := tree(t, "a", "DISK-WED.txt")
	l := layout(source.Disks, root)
	l.Disks = []source.Disk{{Name: "tue", Marker: "DISK-TUE.txt"}, {Name: "wrong", Serial: "FFFF-FFFF", Marker: "DISK-WED.txt"}, {Name: "wed", Marker: "DISK-WED.txt"}}
	set, err := l.Newest(t.Context())
	must(t, err)
	if set.Disk() != "wed" {
		t.Errorf("disk %q", set.Disk())
	}
	if v := set.Volumes(); len(v) != 1 || v[0].Type == "" {
		t.Errorf("volumes %+v", v)
	}
	if v := set.Volumes()[0]; v.Serial != "" {
		l.Disks = []source.Disk{{Name: "by serial", Serial: strings.ToLower(v.Serial)}}
		if set, err = l.Newest(t.Context()); err != nil || set.Disk() != "by serial" {
			t.Errorf("disk %q, %v", set.Disk(), err)
		}
	}
	l.Disks = []source.Disk{{Name: "outside", Marker: "../databackup/DISK-WED.txt"}}
	if _, err := l.Find(t.Context()); !errors.Is(err, source.ErrDisk) {
		t.Errorf("a marker that is a path: %v", err)
	}
}

func TestSignsOfLiveDataAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"db/postmaster.pid", "mysql/ibtmp1", "Patients.laccdb", "PDOXUSRS.LCK", "databases.ini"} {
		root := tree(t, "a", name)
		_, err := layout(source.Folder, root).Newest(t.Context())
		if !errors.Is(err, source.ErrLive) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "Patients") {
			t.Errorf("the error names a file: %v", err)
		}
		l := layout(source.Folder, root)
		p, err := source.ParsePattern(filepath.Base(name))
		must(t, err)
		l.Scan.Exclude = []source.Pattern{p}
		if _, err := l.Newest(t.Context()); err != nil {
			t.Errorf("%s, excluded: %v", name, err)
		}
	}
}

func TestStampsAreReadInMoments(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"2026-11-20":                "2026-11-20",
		"backup_20261120.zip":       "2026-11-20",
		"JobD2026-11-20T220012.vbk": "2026-11-20 22:00:12",
		"x 2026.11.20 21h05.7z":     "2026-11-20 21:05:00",
		"Backup202611201700.zip":    "2026-11-20 17:00:00",
		"20261120_001.zip":          "2026-11-20",
		"19-11-2026.zip":            "2026-11-19",
		"11-19-2026.zip":            "2026-11-19",
		"05-11-2026.zip":            "2026-11-05",
	} {
		found, err := layout(source.Archives, aged(t, "24h "+name)).Find(t.Context())
		if strings.HasPrefix(name, "2026-11-20") && !strings.Contains(name, ".") {
			found, err = layout(source.Dated, aged(t, "24h "+name+"/x")).Find(t.Context())
		}
		must(t, err)
		s := found.Sets[0].Stamp
		got := fmt.Sprintf("%04d-%02d-%02d", s.Year, s.Month, s.Day)
		if s.Timed {
			got += fmt.Sprintf(" %02d:%02d:%02d", s.Hour, s.Minute, s.Second)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestHardLinksIntoLiveDataAreRefused(t *testing.T) {
	t.Parallel()
	base := tree(t, "live/db/patients.db", "live/own.db", "databackup/copy.db")
	l := layout(source.Folder, filepath.Join(base, "databackup"))
	l.Scan.Live = []string{filepath.Join(base, "live")}
	if _, err := l.Newest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(base, "live/db/patients.db"), filepath.Join(base, "databackup/other name")); err != nil {
		t.Skip(err)
	}
	_, err := l.Newest(t.Context())
	if !errors.Is(err, source.ErrLive) || strings.Contains(err.Error(), "patients") || strings.Contains(err.Error(), "other name") {
		t.Errorf("got %v", err)
	}
}

func TestGuessSaysWhatAFolderLooksLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want source.Kind
		tree []string
	}{
		{source.Folder, []string{"UNICONFIG6.FS5", "PATIENTS.FS5", "images/2026-11-20.jpg"}},
		{source.Folder, []string{"Genie.4DD", "Genie.4DS", "Genie2.4DS", "Images/x"}},
		{source.Folder, nil},
		{source.Renamed, []string{"opendental/x", "opendentalbackup_1/x", "OpenDentImages/A/x"}},
		{source.Renamed, []string{"data/x", "data.1/x"}},
		{source.Archives, []string{"EQ_20261120_2100.zip", "EQ_20261119_2100.zip", "readme.txt"}},
		{source.Dated, []string{"2026-11-20/x", "2026-11-19/x", "latest/x"}},
		{source.Weekdays, []string{"CCData_Monday.bak", "CCData_Friday.bak"}},
		{source.Numbered, []string{"Backup.BDF", "BackupArchive001.BDF", "BackupArchive002.BDF", "BackupArchive003.BDF"}},
		{source.Chain, []string{"JobD2026-11-20T220012.vib", "JobD2026-11-18T220012.vbk", "Job.vbm"}},
	} {
		got, err := source.Guess(t.Context(), tree(t, c.tree...))
		if must(t, err); got != c.want {
			t.Errorf("%q: %s, want %s", c.tree, got, c.want)
		}
	}
	if _, err := source.Guess(t.Context(), filepath.Join(temp(t), "none")); !errors.Is(err, source.ErrRootMissing) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
