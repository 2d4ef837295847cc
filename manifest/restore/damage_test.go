package restore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/restore"
	"offsite/providers/dir"
)

// onDisk is a practice whose store is a folder, so that files can be harmed.
func onDisk(t testing.TB) (*practice, func(key string) string) {
	t.Helper()
	at := filepath.Join(t.TempDir(), "store")
	p := newPracticeOn(t, must(dir.Create(at))(t))
	return p, func(key string) string { return filepath.Join(at, filepath.FromSlash(key)) }
}

// edit changes the bytes of a file.
func edit(t testing.TB, name string, change func(b []byte) []byte) {
	t.Helper()
	b := change(must(os.ReadFile(name))(t))
	if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func flip(at func(size int) int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at(len(b))] ^= 4
		return b
	}
}

// TestEveryKindOfDamageCostsItsFilesOnly harms a pack of images in each way, and
// requires that files without a problem are right, those with one have no name, and
// the pack is named.
func TestEveryKindOfDamageCostsItsFilesOnly(t *testing.T) {
	t.Parallel()
	s := set{"images": folder(0o755)}
	for i := range 60 {
		s[fmt.Sprintf("images/%02d.jpg", i)] = file(noise(uint64(i), 40_000+i))
	}
	s["images/large.tif"] = file(noise(99, 3<<20))
	for _, c := range []struct {
		name  string
		harm  func(b []byte) []byte // nil: the object is removed
		least int64                 // files that it costs
		most  int64
	}{
		{"gone", nil, 10, 61},
		{"header", flip(func(int) int { return 100 }), 10, 61},
		{"wrapped key", flip(func(int) int { return 40 }), 10, 61},
		{"first step", flip(func(int) int { return 3000 }), 1, 16},
		{"middle", flip(func(n int) int { return n / 2 }), 1, 16},
		{"last step", flip(func(n int) int { return n - 10 }), 0, 16},
		{"last bytes cut", func(b []byte) []byte { return b[:len(b)-20] }, 0, 16},
		{"half", func(b []byte) []byte { return b[:len(b)/2] }, 1, 40},
		{"a few bytes", func(b []byte) []byte { return b[:10] }, 10, 61},
		{"empty", func([]byte) []byte { return nil }, 10, 61},
		{"longer", func(b []byte) []byte { return append(b, 0) }, 0, 16},
		{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }, 10, 61},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, at := onDisk(t)
			p.packed = 1500 << 10
			ref := p.commit(t, s, nil)
			victim := packOf(t, p, ref, "images/30.jpg", false)
			report, err := damaged(t, p, ref, s, func() {
				if c.harm == nil {
					if err := os.Remove(at(victim)); err != nil {
						t.Fatal(err)
					}
					return
				}
				edit(t, at(victim), c.harm)
			})
			if report.Damaged < c.least || report.Damaged > c.most || report.Refused > 0 {
				t.Errorf("%d files are damaged, %d refused", report.Damaged, report.Refused)
			}
			if (report.Damaged > 0) != errors.Is(err, restore.ErrDamaged) {
				t.Error(err)
			}
			if len(report.Objects) != 1 || report.Objects[0].Key != victim {
				t.Errorf("damaged objects: %v", report.Objects)
			}
			for _, problem := range report.Problems {
				if problem.Kind != restore.FileDamaged || problem.Key != victim || problem.Chunk == "" || !errors.Is(problem.Err, restore.ErrDamaged) {
					t.Errorf("%+v", problem)
				}
				if strings.Contains(problem.Err.Error(), "jpg") {
					t.Errorf("the error names a file: %v", problem.Err)
				}
			}
		})
	}
}

// packOf returns the key of the pack that a file's first chunk is read from, or of
// the other one that holds it.
func packOf(t testing.TB, p *practice, ref manifest.Ref, path string, other bool) string {
	t.Helper()
	snap := open(t, p, ref)
	e, ok, err := snap.Find(t.Context(), path)
	if err != nil || !ok {
		t.Fatal(path, ok, err)
	}
	places := restore.Places(snap, e.Chunks[0])
	if other {
		places = places[1:]
	}
	return manifest.PackKey(places[0])
}

func TestAChunkIsTakenFromAnotherPack(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(p *practice, key string){
		"bit":  func(p *practice, key string) { p.mem.Damage(key, 200_000) },
		"lost": func(p *practice, key string) { p.mem.Lose(key) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPractice(t)
			p.twice = true
			s := practiceSet()
			ref := p.commit(t, s, nil)
			report, err := damaged(t, p, ref, s, func() { harm(p, packOf(t, p, ref, "images/large.tif", false)) })
			if err != nil || report.Missing > 0 || len(report.Objects) != 1 {
				t.Errorf("%+v, %v", report, err)
			}
			report, err = damaged(t, p, ref, s, func() { harm(p, packOf(t, p, ref, "images/large.tif", true)) })
			if !errors.Is(err, restore.ErrDamaged) || report.Damaged == 0 || len(report.Objects) != 2 {
				t.Errorf("with both packs harmed: %+v, %v", report, err)
			}
		})
	}
}

// TestLostRowsHideNoOthers harms each pack of the file table in turn.
func TestLostRowsHideNoOthers(t *testing.T) {
	t.Parallel()
	p, at := onDisk(t)
	p.tabled = 6 << 10
	s := set{}
	for i := range 40 {
		folderName := fmt.Sprintf("patient %02d", i)
		s[folderName] = folder(0o700)
		for k := range 10 {
			s[fmt.Sprintf("%s/%d%s.jpg", folderName, k, strings.Repeat("x", k))] = file(fmt.Appendf(nil, "image %d of %d", k, i))
		}
	}
	ref := p.commit(t, s, nil)
	tables, unreadable, rows := 0, 0, 0
	for _, pin := range ref.Record.Packs {
		plain := must(p.restore.Opener().Open(must(p.store.Read(t.Context(), manifest.PackKey(pin.Name), ""))(t)))(t)
		if must(pack.ParsePlain(plain))(t).Directory().Class != pack.Table {
			continue
		}
		tables++
		name := at(manifest.PackKey(pin.Name))
		harm := flip(func(n int) int { return n - 100 })
		edit(t, name, harm)
		snap, err := restore.Open(t.Context(), p.store, p.restore.Opener(), ref)
		if err != nil {
			unreadable++
			if !errors.Is(err, restore.ErrDamaged) {
				t.Error(err)
			}
			edit(t, name, harm)
			continue
		}
		listed, lost := 0, 0
		for e, err := range snap.Entries(t.Context()) {
			var rows *restore.LostRows
			switch {
			case errors.As(err, &rows) && errors.Is(err, restore.ErrDamaged):
				lost++
			case err != nil:
				t.Fatal(err)
			default:
				if _, ok := s[e.Path]; !ok {
					t.Errorf("%s is in no row", e.Path)
				}
				listed++
			}
		}
		dir := t.TempDir()
		report, err := snap.Restore(t.Context(), restore.Options{To: dir})
		if !errors.Is(err, restore.ErrDamaged) || report.LostRows != int64(lost) || lost == 0 || listed == 0 || listed == len(s) {
			t.Errorf("%d rows and %d parts lost, %+v, %v", listed, lost, report, err)
		}
		if marker, _ := leftovers(t, dir); !marker {
			t.Error("the marker is gone, though rows are lost")
		}
		rows += listed
		edit(t, name, harm)
		// The same target is completed once the pack is well again.
		if report, err := open(t, p, ref).Restore(t.Context(), restore.Options{To: dir}); err != nil {
			t.Errorf("%+v, %v", report, err)
		}
		same(t, dir, s, false, everything)
	}
	if tables < 4 || unreadable != 1 || rows == 0 {
		t.Errorf("%d packs of the file table, %d with the root", tables, unreadable)
	}
}

// TestRowsOfADamagedPackAreProvedByTheirNames: one bit does not cost all rows.
func TestRowsOfADamagedPackAreProvedByTheirNames(t *testing.T) {
	t.Parallel()
	for _, secrets := range []bool{true, false} {
		p := newPractice(t)
		s := set{}
		for i := range 9000 {
			s[fmt.Sprintf("%05d %x", i, noise(uint64(i), 40))] = file(nil)
		}
		ref := p.commit(t, s, nil)
		if !secrets {
			p.mem.Lose(manifest.SecretsKey)
		}
		victim := slices.MaxFunc(ref.Record.Packs, func(a, b manifest.Pin) int { return int(a.Size - b.Size) })
		p.mem.Damage(manifest.PackKey(victim.Name), int(victim.Size/3))
		snap, err := restore.Open(t.Context(), p.store, p.restore.Opener(), ref)
		if !secrets {
			if !errors.Is(err, restore.ErrDamaged) {
				t.Errorf("rows that nothing proves: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		rows, lost := 0, 0
		for _, err := range snap.Entries(t.Context()) {
			if err != nil {
				lost++
			} else {
				rows++
			}
		}
		if lost == 0 || rows < 4000 || rows >= 9000 {
			t.Errorf("%d rows, %d parts lost", rows, lost)
		}
		if d := snap.Damage(); len(d) != 1 || d[0].Key != manifest.PackKey(victim.Name) {
			t.Errorf("damage: %v", d)
		}
	}
}

// TestForgedPackIsNoFileTable: somebody who knows the restore key's public half can
// seal what they like, but not under the name that the signed record has.
func TestForgedPackIsNoFileTable(t *testing.T) {
	t.Parallel()
	p, at := onDisk(t)
	ref := p.commit(t, set{"a": file([]byte("honest"))}, nil)
	forged := p.commit(t, set{"a": file([]byte("forged")), "b": file([]byte("more"))}, nil)
	tables := func(r manifest.Ref) (keys []string) {
		for _, pin := range r.Record.Packs {
			key := manifest.PackKey(pin.Name)
			plain := must(p.restore.Opener().Open(must(p.store.Read(t.Context(), key, ""))(t)))(t)
			if must(pack.ParsePlain(plain))(t).Directory().Class == pack.Table {
				keys = append(keys, key)
			}
		}
		return keys
	}
	b := must(os.ReadFile(at(tables(forged)[0])))(t)
	edit(t, at(tables(ref)[0]), func([]byte) []byte { return b })
	if _, err := restore.Open(t.Context(), p.store, p.restore.Opener(), ref); !errors.Is(err, restore.ErrDamaged) {
		t.Errorf("a forged file table was believed: %v", err)
	}
}

func TestFindAndUnder(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := set{}
	for i := range 300 {
		name := fmt.Sprintf("f%03d", i)
		s[name] = folder(0o700)
		s[name+"!"] = file(nil)
		s[name+".x"] = file(nil)
		s[name+"/in"] = file([]byte(name))
		s[name+"/in too"] = file(nil)
	}
	ref := p.commit(t, s, nil)
	snap := open(t, p, ref)
	start := time.Now()
	for path := range s {
		e, ok, err := snap.Find(t.Context(), path)
		if err != nil || !ok || e.Path != path {
			t.Fatalf("%s: %v, %v", path, ok, err)
		}
	}
	t.Log(time.Since(start)/time.Duration(len(s)), "for each")
	for _, path := range []string{"a", "f", "f000/", "f001/in/deeper", "z", "f150 ", "f299/zz"} {
		if _, ok, err := snap.Find(t.Context(), path); ok || err != nil {
			t.Errorf("%s: %v, %v", path, ok, err)
		}
	}
	var under []string
	for e, err := range snap.Under(t.Context(), "f150") {
		if err != nil {
			t.Fatal(err)
		}
		under = append(under, e.Path)
	}
	if want := []string{"f150", "f150/in", "f150/in too"}; !slices.Equal(under, want) {
		t.Errorf("under f150: %q", under)
	}
}
