package source

import (
	"fmt"
	"path"
	"strings"
)

// signs are files that stand in a folder only while a program has it open as its
// data. A copy that holds one was taken from under a running program.
var signs = []struct{ name, why string }{
	{"postmaster.pid", "PostgreSQL runs on it"},
	{"ibtmp1", "a MySQL or MariaDB server runs on it"},
	{"mysql.sock", "a MySQL or MariaDB server runs on it"},
	{"mysqld.sock", "a MySQL or MariaDB server runs on it"},
	{"mariadb.sock", "a MySQL or MariaDB server runs on it"},
	{"pdoxusrs.lck", "a Paradox program has it open"},
	{"databases.ini", "it is the program folder of the EXACT server"},
}

// signEnds are the same by the ends of names: the lock file of an Access database
// that somebody has open.
var signEnds = []struct{ end, why string }{
	{".laccdb", "an Access database in it is open"},
}

// refuseSigns refuses a set with one of the signs. One that is known to be left
// over is taken out by an exclude pattern, for it is then no part of the set.
func refuseSigns(set Set) error {
	for e := range set.Entries() {
		if e.Type == TypeDir || e.Type == TypeSymlink || e.Err != nil {
			continue
		}
		name := strings.ToLower(path.Base(e.Path))
		for _, s := range signs {
			if name == s.name {
				return signed(set, name, s.why)
			}
		}
		for _, s := range signEnds {
			if strings.HasSuffix(name, s.end) {
				return signed(set, "*"+s.end, s.why)
			}
		}
	}
	return nil
}

func signed(set Set, sign, why string) error {
	return &RootError{set.d.roots[0].Path, fmt.Errorf("%w (it holds %s: %s; exclude that name if it was left over)", ErrLive, sign, why)}
}
