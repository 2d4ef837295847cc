package practice

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
)

// appendPDF appends a document of about size bytes: a page with a flate-compressed text, a scanned JPEG page and, in the
// larger ones, a flate-compressed raster; with a cross-reference table that is right to the byte.
func appendPDF(dst []byte, r *rng, size int, info fileInfo, scratch []byte) (out, used []byte, err error) {
	base := len(dst)
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, len(dst)-base)
		dst = fmt.Appendf(dst, "%d 0 obj\n", len(offsets))
		dst = fmt.Appendf(dst, format, args...)
	}
	stream := func(data []byte) {
		dst = append(append(append(dst, "stream\n"...), data...), "\nendstream\nendobj\n"...)
	}
	text, err := pdfText(r, info)
	if err != nil {
		return nil, scratch, err
	}
	rest := max(size-len(text)-1600, 2048)
	raster := 0
	if rest > 96<<10 {
		raster = rest / 3
	}
	dst = append(dst, "%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"...)
	object("<< /Type /Catalog /Pages 2 0 R >>\nendobj\n")
	object("<< /Type /Pages /Kids [3 0 R 6 0 R] /Count 2 >>\nendobj\n")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>\nendobj\n")
	object("<< /Length %d /Filter /FlateDecode >>\n", len(text))
	stream(text)
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>\nendobj\n")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 7 0 R /Resources << /XObject << /Im1 8 0 R /Im2 9 0 R >> >> >>\nendobj\n")
	draw := "q 595 0 0 500 0 342 cm /Im1 Do Q q 595 0 0 342 0 0 cm /Im2 Do Q"
	object("<< /Length %d >>\n", len(draw))
	stream([]byte(draw))
	scratch, width, height := appendJPEG(scratch[:0], r, rest-raster, true, info.exif())
	object("<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode /Length %d >>\n",
		width, height, len(scratch))
	stream(scratch)
	rows := max(raster/nibblePacked, 4)
	scratch = appendNibbles(scratch[:0], r, rows)
	object("<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode "+
		"/DecodeParms << /Predictor 15 /Colors 1 /BitsPerComponent 8 /Columns %d >> /Length %d >>\n", nibbleRow-1, rows, nibbleRow-1, len(scratch))
	stream(scratch)
	object("<< /Producer (Lumident Letters 4.1) /CreationDate (D:%s) /Title (Patient %s) >>\nendobj\n", info.compact(), info.patient.number())

	xref := len(dst) - base
	dst = fmt.Appendf(dst, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		dst = fmt.Appendf(dst, "%010d 00000 n \n", at)
	}
	return fmt.Appendf(dst, "trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, len(offsets), xref), scratch, nil
}

// pdfText is the compressed content stream of a letter.
func pdfText(r *rng, info fileInfo) ([]byte, error) {
	var page strings.Builder
	page.WriteString("BT /F1 10 Tf 60 780 Td 14 TL\n")
	fmt.Fprintf(&page, "(Patient %s, %s) Tj T*\n", info.patient.number(), info.compact()[:8])
	var line []byte
	for range 24 {
		line = appendWords(line[:0], r, 70)
		fmt.Fprintf(&page, "(%s) Tj T*\n", line)
	}
	page.WriteString("ET\n")
	var buf bytes.Buffer
	z, err := zlib.NewWriterLevel(&buf, zlib.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress page: %w", err)
	}
	if _, err := z.Write([]byte(page.String())); err != nil {
		return nil, fmt.Errorf("compress page: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress page: %w", err)
	}
	return buf.Bytes(), nil
}
