package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"offsite/examples/practice"
)

// backup writes the backup of the day, as the practice system does.
func (y *year) backup() error {
	y.steps = nil
	if err := y.makeRoom(); err != nil {
		return err
	}
	if y.layout.packed != "" {
		return y.pack()
	}
	from, to := y.path("live"), y.target()
	files, err := list(from)
	if err != nil {
		return err
	}
	y.files = len(files)
	there := make(map[string]bool, len(files))
	for _, f := range files {
		there[f] = true
		src, err := os.Stat(filepath.Join(from, f))
		if err != nil {
			return err
		}
		dst, err := os.Stat(filepath.Join(to, f))
		if err == nil && dst.Size() == src.Size() && dst.ModTime().Equal(src.ModTime()) {
			continue
		}
		s := step{rel: f}
		if err == nil {
			s.time = dst.ModTime()
			if s.prev, err = os.ReadFile(filepath.Join(to, f)); err != nil {
				return err
			}
		}
		data, err := os.ReadFile(filepath.Join(from, f))
		if err != nil {
			return err
		}
		if err := writeAt(filepath.Join(to, f), data, src.ModTime()); err != nil {
			return err
		}
		y.steps = append(y.steps, s)
	}
	old, err := list(to)
	if err != nil {
		return err
	}
	for _, f := range old {
		if !there[f] && !strings.HasSuffix(f, ".id") { // the mark of a disk
			if err := os.Remove(filepath.Join(to, f)); err != nil {
				return err
			}
		}
	}
	return nil
}

// put writes the archive of the day.
func (y *year) put(name string, data []byte) error {
	full := filepath.Join(y.target(), name)
	s := step{rel: name}
	if info, err := os.Stat(full); err == nil {
		s.time = info.ModTime()
		if s.prev, err = os.ReadFile(full); err != nil {
			return err
		}
	}
	y.steps = append(y.steps, s)
	if !slices.Contains(y.names, name) {
		y.names = append(y.names, name)
	}
	return writeAt(full, data, practice.Evening(y.day))
}

// pack writes the database into one file.
func (y *year) pack() error {
	plain, names, err := y.database()
	if err != nil {
		return err
	}
	y.files = 1
	if y.layout.packed != "chain" {
		y.names = nil
	}
	switch y.layout.packed {
	case "zip":
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i, name := range names {
			w, err := z.Create(name)
			if err != nil {
				return err
			}
			if _, err := w.Write(plain[i]); err != nil {
				return err
			}
		}
		if err := z.Close(); err != nil {
			return err
		}
		return y.put("EQ_"+practice.Date(y.day).Format("20060102")+"1840.zip", b.Bytes())
	case "bak":
		return y.put("CCData_"+practice.Date(y.day).Weekday().String()+".bak", tape(bytes.Join(plain, nil)))
	case "bdf":
		return y.put("Backup.BDF", bytes.Join(plain, nil))
	}
	return y.chain(bytes.Join(plain, nil))
}

// chain writes a packed full backup on Mondays and packed increments else.
func (y *year) chain(plain []byte) error {
	kind := "vib"
	if practice.Date(y.day).Weekday() == time.Monday {
		y.names, kind = nil, "vbk"
	} else {
		plain = plain[:len(plain)/10]
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	stamp := practice.Evening(y.day).Format("2006-01-02T150405")
	if err := y.put("Server"+stamp+"."+kind, b.Bytes()); err != nil {
		return err
	}
	return y.put("Server.vbm", fmt.Appendf(nil, "<?xml version=\"1.0\"?><BackupMeta>%s</BackupMeta>", strings.Repeat("<Point Time=\""+stamp+"\"/>", 40)))
}

// database reads the databases of the practice.
func (y *year) database() (plain [][]byte, names []string, err error) {
	files, err := list(y.path("live"))
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		if ext := strings.ToLower(path.Ext(f)); ext != ".fs5" && ext != ".db" && !(realFile{name: f}).database() {
			continue
		}
		data, err := os.ReadFile(y.path("live", f))
		if err != nil {
			return nil, nil, err
		}
		plain, names = append(plain, data), append(names, f)
	}
	return plain, names, nil
}

// tape wraps data as SQL Server does.
func tape(data []byte) []byte {
	const block = 4096
	head := func(kind string) []byte {
		b := make([]byte, block)
		copy(b, kind)
		copy(b[0x60:], "M\x00i\x00c\x00r\x00o\x00s\x00o\x00f\x00t\x00")
		var x uint16
		for i := range 25 {
			x ^= binary.LittleEndian.Uint16(b[2*i:])
		}
		binary.LittleEndian.PutUint16(b[50:], x)
		return b
	}
	mark := make([]byte, block)
	copy(mark, "SFMB")
	out := append(head("TAPE"), mark...)
	out = append(out, head("SSET")...)
	out = append(out, data...)
	out = append(out, make([]byte, (block-len(out)%block)%block)...)
	out = append(out, head("ESET")...)
	return append(out, mark...)
}
