package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// largestReal and mostReal bound what the corpus adds to each year's set.
	largestReal = 2 << 20
	mostReal    = 2500
	mostBytes   = 40 << 20
)

// realFile is one file of the corpus.
type realFile struct {
	name string
	data []byte
}

// database says whether the file is of the kind that is edited in place.
func (f realFile) database() bool {
	switch strings.ToLower(filepath.Ext(f.name)) {
	case ".myd", ".myi", ".ibd", ".frm", ".sqlite", ".db", ".dbf", ".bak":
		return true
	}
	return false
}

// readCorpus reads the images, documents and databases below the folders.
func readCorpus(folders []string) ([]realFile, error) {
	var out []realFile
	seen := map[uint32]bool{}
	var bytes int64
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() || len(out) == mostReal || bytes > mostBytes || !useful(path) {
				return err
			}
			info, err := e.Info()
			if err != nil || info.Size() == 0 || info.Size() > largestReal {
				return err
			}
			data, err := os.ReadFile(path)
			if sum := crc32.ChecksumIEEE(data); err == nil && !seen[sum] {
				seen[sum] = true
				bytes += info.Size()
				out = append(out, realFile{fmt.Sprintf("%04d-%s", len(out), filepath.Base(path)), data})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read corpus: %w", err)
		}
	}
	return out, nil
}

// useful are the kinds of file that practices keep.
func useful(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".dcm", ".pdf", ".rtf", ".xml", ".doc", ".docx", ".txt", ".gz", ".zip", ".7z",
		".myd", ".myi", ".ibd", ".frm", ".sqlite", ".db", ".dbf", ".bak", ".nii", ".bmp", ".gif", ".stl", ".inv3", ".html", ".csv":
		return true
	}
	return false
}

// again makes another file of the same kind: the same picture, another comment.
func (f realFile) again(n int) (realFile, bool) {
	text := fmt.Sprintf("copy %d of %s", n, f.name)
	out := realFile{name: fmt.Sprintf("%d-%s", n, f.name)}
	switch d := f.data; {
	case bytes.HasPrefix(d, []byte("\xff\xd8\xff")):
		out.data = append([]byte{0xff, 0xd8, 0xff, 0xfe, 0, byte(len(text) + 2)}, text...)
		out.data = append(out.data, d[2:]...)
	case bytes.HasPrefix(d, []byte("\x89PNG")) && len(d) > 33:
		chunk := append([]byte("tEXt"), "Comment\x00"+text...)
		out.data = append([]byte(nil), d[:33]...)
		out.data = binary.BigEndian.AppendUint32(out.data, uint32(len(chunk)-4))
		out.data = append(out.data, chunk...)
		out.data = binary.BigEndian.AppendUint32(out.data, crc32.ChecksumIEEE(chunk))
		out.data = append(out.data, d[33:]...)
	case bytes.HasPrefix(d, []byte("%PDF")):
		out.data = append(append([]byte(nil), d...), "\n% "+text+"\n"...)
	case len(d) > 132 && string(d[128:132]) == "DICM":
		out.data = append([]byte(nil), d...)
		copy(out.data, text)
	default:
		return out, false
	}
	return out, true
}
