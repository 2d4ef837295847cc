package sheet

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"rsc.io/qr"

	"offsite/manifest/seal"
)

//go:embed sheet.html
var page string

// HTML writes the sheet as one self-contained A4 page.
func (s Sheet) HTML(w io.Writer) error {
	if err := s.validate(); err != nil {
		return err
	}
	code, err := qrSVG(s.Key.Line())
	if err != nil {
		return fmt.Errorf("write recovery sheet: %w", err)
	}
	t, err := template.New("sheet").Parse(page)
	if err != nil {
		return fmt.Errorf("write recovery sheet: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Sheet":       s,
		"Fingerprint": seal.Fingerprint(s.Owner),
		"Rows":        rows(s.Key.Line()),
		"Check":       Check(s.Key),
		"Code":        code,
		"Keep":        keepText,
		"Alphabet":    alphabetText,
		"With":        s.withOffsite(),
		"Without":     s.withoutOffsite(),
	})
	if err != nil {
		return fmt.Errorf("write recovery sheet: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// quiet is the blank margin of a QR code, in modules, that scanners need.
const quiet = 4

// qrSVG draws text as a QR code with the highest error correction: paper gets
// folded and stained. Runs of dark modules are rectangles of one path.
func qrSVG(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.H)
	if err != nil {
		return "", err
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			start := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quiet, y+quiet, x-start, x-start)
			}
		}
	}
	side := code.Size + 2*quiet
	// Only numbers and letters of our own making: nothing here needs escaping.
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-label="QR code of the restore key">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`, side, side, side, side, path.String())), nil
}
