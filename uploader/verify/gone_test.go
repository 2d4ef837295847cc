package verify_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestAFileBesideADatabaseThatNeverChangesIsMissed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.write("db/patients.frm", append([]byte{1, 2, 3, 0}, o.table(1)...))
	o.days(6, func() {})
	must(t, os.Remove(o.path("db/patients.frm")))
	o.wants("incomplete database-missing")
}

// TestATableThatSeldomChangesIsMissed: one change is enough where others of its kind change.
func TestATableThatSeldomChangesIsMissed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	page := func() []byte { return append([]byte{1, 2, 3, 0}, o.table(10)...) }
	o.days(7, func() {
		o.write(fmt.Sprintf("databackup/%d.FS5", o.day%4), page())
		for i := range 9 { // beside them what never changes
			if o.day < 1 {
				o.write(fmt.Sprintf("databackup/%d.hlp", i), o.table(2))
				o.write(fmt.Sprintf("databackup/%d.FS5", i%4), page())
			}
		}
	})
	must(t, os.Remove(o.path("databackup/2.FS5")))
	o.wants("incomplete database-missing")
}

// TestTablesWithNumbersAreNoBackupsUnderADate: a table whose name holds what may be a date
// is missed as any other; a backup under a date may go when a later one has come.
func TestTablesWithNumbersAreNoBackupsUnderADate(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.write("db/visits_100338.frm", o.table(1))
	o.write("db/visits_100427.frm", o.table(1))
	name := func() string { return "db/dump " + o.name() + ".frm" }
	o.write(name(), o.table(1))
	old := name()
	o.days(6, func() {
		o.write("db/charts.dat", o.table(8))
		o.write("db/accounts.dat", o.table(8))
	})
	o.write(name(), o.table(1))
	must(t, os.Remove(o.path(old)))
	o.wants("")
	must(t, os.Remove(o.path("db/visits_100427.frm")))
	o.wants("incomplete database-missing")
}

// TestWhatComesUnderANewDateEveryNightIsNotMissed: files of yesterday make room for those
// of today, of which the history says no more than that they are new.
func TestWhatComesUnderANewDateEveryNightIsNotMissed(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 2, "large": 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.days(7, func() {
				must(t, os.RemoveAll(o.path("export")))
				for i := range 30 {
					o.write(fmt.Sprintf("export/%s_1000%02d.dat", o.name(), i), o.table(size))
				}
			})
			must(t, os.RemoveAll(o.path("export"))) // and none came
			o.wants("incomplete folders")
		})
	}
}

// TestOldBackupsAreClearedAway: one of several under a date goes, on a night without a
// new one, whatever the names hash to; also when an old one was copied back.
func TestOldBackupsAreClearedAway(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			name := func(day int) string {
				return fmt.Sprintf("db/dump %d %s.sqb", i, time.Date(2026, 1, 5+day, 0, 0, 0, 0, time.UTC).Format("20060102"))
			}
			o.days(9, func() {
				o.write("db/charts.dat", o.table(8))
				o.write("db/accounts.dat", o.table(8))
				for n := range 8 {
					o.write(fmt.Sprintf("db/table %d.dat", n), o.table(2))
				}
				o.write(name(o.day), o.table(20))
			})
			must(t, os.Remove(o.path(name(3))))
			if i%2 == 0 {
				o.write(name(-300), o.table(20))
				when := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
				must(t, os.Chtimes(o.path(name(-300)), when, when))
			}
			o.wants("")
		})
	}
}
