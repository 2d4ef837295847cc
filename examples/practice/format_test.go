package practice_test

import (
	"bytes"
	"compress/zlib"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"offsite/examples/practice"
)

func TestEveryFileIsWhatItsNameSays(t *testing.T) {
	t.Parallel()
	dir, _ := sharedFolder(t)
	seen := map[string]int{}
	checks := map[string]func(data []byte, whole bool) error{
		".jpg": checkJPEG, ".dcm": checkDICOM, ".tif": checkTIFF, ".png": checkPNG, ".pdf": checkPDF, ".rtf": checkRTF, ".xml": checkXML,
		".eml": checkEmail, ".FS5": checkTable, ".db": func([]byte, bool) error { return checkSQLite(filepath.Join(dir, "imaging", "catalogue.db")) },
		".log": checkLog,
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := filepath.Ext(path)
		check := checks[kind]
		if check == nil {
			t.Errorf("%s: nobody knows this kind", path)
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := check(data, seen[kind] < 4); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		seen[kind]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind := range checks {
		if seen[kind] == 0 {
			t.Errorf("no file of kind %s", kind)
		}
	}
}

func checkJPEG(data []byte, whole bool) error {
	if _, err := jpeg.DecodeConfig(bytes.NewReader(data)); err != nil {
		return err
	}
	if whole {
		if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
			return err
		}
	}
	at := 2
	for {
		if data[at] != 0xff {
			return fmt.Errorf("no marker at %d", at)
		}
		marker := data[at+1]
		at += 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		if marker == 0xda {
			break
		}
	}
	stuffed := 0
	for ; at < len(data)-2; at++ {
		if data[at] == 0xff {
			if data[at+1] != 0 {
				return fmt.Errorf("marker %x inside the scan", data[at+1])
			}
			stuffed++
		}
	}
	if stuffed == 0 && len(data) > 20000 {
		return fmt.Errorf("no stuffed byte in %d", len(data))
	}
	if end := data[len(data)-2:]; end[0] != 0xff || end[1] != 0xd9 {
		return fmt.Errorf("ends with %x", end)
	}
	return nil
}

func checkPNG(data []byte, whole bool) error {
	if !whole {
		_, err := png.DecodeConfig(bytes.NewReader(data))
		return err
	}
	r := bytes.NewReader(data)
	if _, err := png.Decode(r); err != nil {
		return err
	}
	if r.Len() != 0 {
		return fmt.Errorf("%d bytes behind the end", r.Len())
	}
	return nil
}

// checkDICOM walks the data set to the end of the file.
func checkDICOM(data []byte, whole bool) error {
	if string(data[128:132]) != "DICM" {
		return fmt.Errorf("no DICM")
	}
	elements := map[uint32][]byte{}
	last := uint32(0)
	at := 132
	for at < len(data) {
		tag := uint32(binary.LittleEndian.Uint16(data[at:]))<<16 | uint32(binary.LittleEndian.Uint16(data[at+2:]))
		if tag <= last {
			return fmt.Errorf("element %08x after %08x", tag, last)
		}
		last = tag
		n := int(binary.LittleEndian.Uint16(data[at+6:]))
		vr := string(data[at+4 : at+6])
		at += 8
		if vr == "OB" || vr == "OW" {
			n = int(int32(binary.LittleEndian.Uint32(data[at:])))
			at += 4
		}
		if n == -1 { // length unknown
			var err error
			if elements[tag], at, err = fragments(data, at); err != nil {
				return err
			}
			continue
		}
		if n%2 != 0 || at+n > len(data) {
			return fmt.Errorf("element %08x of %d bytes", tag, n)
		}
		elements[tag] = data[at : at+n]
		at += n
	}
	if length := binary.LittleEndian.Uint32(elements[0x00020000]); string(data[144+length:148+length]) != "\x08\x00\x05\x00" {
		return fmt.Errorf("meta group of %d bytes does not end before the data set", length)
	}
	rows, columns := int(binary.LittleEndian.Uint16(elements[0x00280010])), int(binary.LittleEndian.Uint16(elements[0x00280011]))
	pixels := elements[0x7fe00010]
	if strings.TrimRight(string(elements[0x00020010]), "\x00") == "1.2.840.10008.1.2.1" {
		if len(pixels) != rows*columns*2 {
			return fmt.Errorf("%d bytes for %d x %d", len(pixels), rows, columns)
		}
		for i := 1; i < len(pixels); i += 2 {
			if pixels[i] > 0x0f {
				return fmt.Errorf("pixel %d has more than twelve bits", i/2)
			}
		}
		return nil
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(pixels))
	if err != nil || config.Width != columns || config.Height != rows {
		return fmt.Errorf("picture of %d x %d, data set says %d x %d: %w", config.Width, config.Height, columns, rows, err)
	}
	return checkJPEG(bytes.TrimSuffix(pixels, []byte{0}), whole)
}

func fragments(data []byte, at int) (all []byte, end int, err error) {
	for item := 0; ; item++ {
		tag, n := binary.LittleEndian.Uint32(data[at:]), int(binary.LittleEndian.Uint32(data[at+4:]))
		at += 8
		switch {
		case tag == 0xe0ddfffe && n == 0:
			return all, at, nil
		case tag != 0xe000fffe || n%2 != 0 || at+n > len(data):
			return nil, 0, fmt.Errorf("item %d: tag %08x, %d bytes", item, tag, n)
		case item > 0:
			all = append(all, data[at:at+n]...)
		}
		at += n
	}
}

func checkTIFF(data []byte, _ bool) error {
	if string(data[:4]) != "II*\x00" {
		return fmt.Errorf("no TIFF")
	}
	at := int(binary.LittleEndian.Uint32(data[4:]))
	values := map[uint16][]uint32{}
	for i := range int(binary.LittleEndian.Uint16(data[at:])) {
		e := data[at+2+12*i:]
		n, value := int(binary.LittleEndian.Uint32(e[4:])), binary.LittleEndian.Uint32(e[8:])
		list := []uint32{value}
		if n > 1 {
			list = nil
			for j := range n {
				list = append(list, binary.LittleEndian.Uint32(data[int(value)+4*j:]))
			}
		}
		values[binary.LittleEndian.Uint16(e)] = list
	}
	width, height, perStrip := values[256][0], values[257][0], values[278][0]
	offsets, counts := values[273], values[279]
	if len(offsets) != int((height+perStrip-1)/perStrip) || len(counts) != len(offsets) {
		return fmt.Errorf("%d strips for %d rows", len(offsets), height)
	}
	end, sum := uint32(0), uint32(0)
	for i := range offsets {
		if i > 0 && offsets[i] != end {
			return fmt.Errorf("strip %d at %d, want %d", i, offsets[i], end)
		}
		end = offsets[i] + counts[i]
		sum += counts[i]
	}
	if sum != width*height || int(end) != len(data) {
		return fmt.Errorf("%d bytes of pixels for %d x %d, ending at %d of %d", sum, width, height, end, len(data))
	}
	return nil
}

func checkPDF(data []byte, whole bool) error {
	tail := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindSubmatch(data)
	if !bytes.HasPrefix(data, []byte("%PDF-")) || tail == nil {
		return fmt.Errorf("no PDF")
	}
	at, _ := strconv.Atoi(string(tail[1]))
	var n int
	if _, err := fmt.Sscanf(string(data[at:at+40]), "xref\n0 %d\n", &n); err != nil {
		return err
	}
	table := data[at+len(fmt.Sprintf("xref\n0 %d\n", n)):]
	for i := 1; i < n; i++ {
		from, err := strconv.Atoi(string(table[20*i : 20*i+10]))
		if err != nil {
			return err
		}
		object := data[from:]
		if !bytes.HasPrefix(object, fmt.Appendf(nil, "%d 0 obj\n", i)) {
			return fmt.Errorf("object %d is not at %d", i, from)
		}
		head := object[:bytes.Index(object, []byte("\n<<"))+bytes.IndexByte(object[bytes.Index(object, []byte("\n<<"))+1:], '\n')+1]
		length := regexp.MustCompile(`/Length (\d+)`).FindSubmatch(head)
		if length == nil {
			continue
		}
		size, _ := strconv.Atoi(string(length[1]))
		body := object[len(head)+len("\nstream\n"):]
		if !bytes.HasPrefix(body[size:], []byte("\nendstream\nendobj\n")) {
			return fmt.Errorf("stream of object %d does not end after %d bytes", i, size)
		}
		switch {
		case bytes.Contains(head, []byte("/DCTDecode")):
			err = checkJPEG(body[:size], whole)
		case bytes.Contains(head, []byte("/FlateDecode")) && whole:
			err = checkZlib(body[:size])
		}
		if err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
	}
	return nil
}

func checkZlib(data []byte) error {
	r := bytes.NewReader(data)
	z, err := zlib.NewReader(r)
	if err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, z); err != nil || n == 0 {
		return fmt.Errorf("%d bytes: %w", n, err)
	}
	if r.Len() != 0 {
		return fmt.Errorf("%d bytes behind the stream", r.Len())
	}
	return nil
}

func checkRTF(data []byte, _ bool) error {
	if !bytes.HasPrefix(data, []byte(`{\rtf1`)) {
		return fmt.Errorf("no RTF")
	}
	depth := 0
	for i, c := range bytes.TrimSpace(data) {
		switch {
		case c >= 0x80:
			return fmt.Errorf("byte %x at %d", c, i)
		case c == '{':
			depth++
		case c == '}':
			depth--
		}
		if depth == 0 && i < len(bytes.TrimSpace(data))-1 {
			return fmt.Errorf("closed at %d", i)
		}
	}
	if depth != 0 {
		return fmt.Errorf("%d groups left open", depth)
	}
	return nil
}

func checkXML(data []byte, _ bool) error {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func checkEmail(data []byte, whole bool) error {
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if _, err := m.Header.Date(); err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		return err
	}
	part, err := parts.NextPart()
	if err != nil {
		return err
	}
	body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
	if err != nil {
		return err
	}
	if _, err := parts.NextPart(); err != io.EOF {
		return fmt.Errorf("after the attachment: %w", err)
	}
	if part.FileName() == "photo.jpg" {
		return checkJPEG(body, whole)
	}
	return checkPDF(body, whole)
}

func checkTable(data []byte, _ bool) error {
	if len(data)%practice.PageSize != 0 {
		return fmt.Errorf("%d bytes", len(data))
	}
	for at := 0; at < len(data); at += practice.PageSize {
		if err := practice.CheckPage(data[at:at+practice.PageSize], int64(at/practice.PageSize)); err != nil {
			return err
		}
	}
	return nil
}

func checkLog(data []byte, _ bool) error {
	if !bytes.HasPrefix(data, []byte{0xff, 0xfe}) || len(data)%2 != 0 {
		return fmt.Errorf("no UTF-16")
	}
	var units []uint16
	for i := 2; i < len(data); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(data[i:]))
	}
	lines := strings.Split(strings.TrimSuffix(string(utf16.Decode(units)), "\r\n"), "\r\n")
	for _, line := range lines {
		if n := strings.Count(line, "\t"); n != 4 || !strings.Contains(line, "Location: ") {
			return fmt.Errorf("line %q", line)
		}
	}
	if !strings.HasSuffix(lines[len(lines)-1], "Result: Started") {
		return fmt.Errorf("last line %q tells how its own run ended", lines[len(lines)-1])
	}
	return nil
}

func checkSQLite(path string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA quick_check").Scan(&verdict); err != nil || verdict != "ok" {
		return fmt.Errorf("quick_check %q: %w", verdict, err)
	}
	var rows, revised, day int
	if err := db.QueryRow("SELECT count(*), count(*) FILTER (WHERE revision > 1) FROM picture").Scan(&rows, &revised); err != nil {
		return err
	}
	if err := db.QueryRow("PRAGMA user_version").Scan(&day); err != nil {
		return err
	}
	if rows < 40 || day > 0 && revised == 0 {
		return fmt.Errorf("%d rows, %d of them revised, day %d", rows, revised, day)
	}
	return nil
}

func TestCatalogueStaysSoundAndGrows(t *testing.T) {
	t.Parallel()
	o := practice.Options{Dir: t.TempDir(), Size: 8 << 20, Seed: 2, Day: 8}
	reports := generate(t, o)
	if err := checkSQLite(filepath.Join(o.Dir, "imaging", "catalogue.db")); err != nil {
		t.Error(err)
	}
	for _, r := range reports[1:] {
		pages := -1
		for _, c := range r.Changes {
			if c.Kind == "sqlite" {
				pages = len(c.Pages)
			}
		}
		if pages < 1 {
			t.Errorf("day %d: %d catalogue pages changed", r.Day, pages)
		}
	}
	entries, err := os.ReadDir(filepath.Join(o.Dir, "imaging"))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the catalogue: %v, %v", entries, err)
	}
}
