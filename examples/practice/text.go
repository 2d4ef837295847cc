package practice

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf16"
)

// fileInfo is what a document says about itself.
type fileInfo struct {
	patient patient
	when    time.Time
	index   int
}

func (f fileInfo) exif() string    { return f.when.Format("2006:01:02 15:04:05") }
func (f fileInfo) compact() string { return f.when.Format("20060102150405") }

// appendRTF appends a letter of about size bytes.
func appendRTF(dst []byte, r *rng, size int, info fileInfo) []byte {
	end := len(dst) + size
	dst = append(dst, "{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fswiss\\fcharset0 Arial;}{\\f1\\froman Times New Roman;}}\r\n"...)
	dst = append(dst, "{\\colortbl ;\\red0\\green0\\blue0;\\red31\\green73\\blue125;}\\viewkind4\\uc1\\pard\\f0\\fs20\r\n"...)
	dst = fmt.Appendf(dst, "\\b Our ref: %s\\b0\\par\r\n%s\\par\r\n\\par\r\nDear ", info.patient.number(), info.when.Format("2 January 2006"))
	dst = appendRTFText(dst, info.patient.first+" "+info.patient.last)
	dst = append(dst, ",\\par\r\n\\par\r\n"...)
	for len(dst) < end-60 {
		dst = appendWords(dst, r, min(200+r.below(300), end-30-len(dst)))
		dst = append(dst, ".\\par\r\n"...)
		if r.below(3) == 0 {
			dst = fmt.Appendf(dst, "\\pard\\li360 {\\b %s} UR%d \\'a3%d.%02d\\par\\pard\r\n", codes[r.below(len(codes))], 1+r.below(8), 20+r.below(900), r.below(100))
		}
	}
	return append(dst, "Yours sincerely,\\par\r\n}\r\n"...)
}

// appendRTFText escapes what RTF cannot hold as it is.
func appendRTFText(dst []byte, s string) []byte {
	for _, c := range s {
		switch {
		case c < 0x80:
			dst = append(dst, byte(c))
		default:
			dst = fmt.Appendf(dst, "\\u%d?", int16(c))
		}
	}
	return dst
}

// appendForm appends a filled-in medical history form as XML.
func appendForm(dst []byte, r *rng, size int, info fileInfo) []byte {
	end := len(dst) + size
	dst = fmt.Appendf(dst, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<form name=\"medical-history\" version=\"%d\">\r\n", 3+r.below(4))
	dst = fmt.Appendf(dst, "  <patient id=\"%s\" born=\"%s\"/>\r\n  <signed at=\"%s\"/>\r\n", info.patient.number(), info.patient.born(), info.when.Format(time.RFC3339))
	for i := 1; len(dst) < end-80; i++ {
		dst = fmt.Appendf(dst, "  <answer question=\"%d\" value=\"%s\"", i, [3]string{"yes", "no", "unknown"}[r.below(3)])
		if r.below(3) > 0 {
			dst = append(dst, '/', '>', '\r', '\n')
			continue
		}
		dst = append(dst, '>')
		dst = appendWords(dst, r, min(40+r.below(200), max(end-len(dst)-20, 10)))
		dst = append(dst, "</answer>\r\n"...)
	}
	return append(dst, "</form>\r\n"...)
}

// appendEmail appends a message of about size bytes with one attachment in base64.
func appendEmail(dst []byte, r *rng, size int, info fileInfo, scratch, spare []byte) (out, used, usedSpare []byte, err error) {
	const perLine = 57
	boundary := fmt.Sprintf("=_part_%016x", r.next())
	dst = fmt.Appendf(dst, "Received: from mail.example.net by practice.example.org; %s\r\n", info.when.Format(time.RFC1123Z))
	dst = fmt.Appendf(dst, "From: referrals@clinic%d.example.net\r\nTo: reception@practice.example.org\r\nSubject: Patient %s\r\n", 1+r.below(40), info.patient.number())
	dst = fmt.Appendf(dst, "Date: %s\r\nMessage-ID: <%016x@example.net>\r\nMIME-Version: 1.0\r\n", info.when.Format(time.RFC1123Z), r.next())
	dst = fmt.Appendf(dst, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", boundary, boundary)
	for range 4 + r.below(12) {
		dst = append(appendWords(dst, r, 72), '\r', '\n')
	}
	body := max((size-2000)*perLine/78, 1024)
	name, kind := "referral.pdf", "application/pdf"
	if info.index%2 == 0 {
		name, kind = "photo.jpg", "image/jpeg"
		scratch, _, _ = appendJPEG(scratch[:0], r, body, true, info.exif())
	} else if scratch, spare, err = appendPDF(scratch[:0], r, body, info, spare); err != nil {
		return nil, scratch, spare, err
	}
	dst = fmt.Appendf(dst, "\r\n--%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"%s\"\r\n\r\n",
		boundary, kind, name, name)
	for rest := scratch; len(rest) > 0; {
		n := min(len(rest), perLine)
		dst = append(base64.StdEncoding.AppendEncode(dst, rest[:n]), '\r', '\n')
		rest = rest[n:]
	}
	return fmt.Appendf(dst, "\r\n--%s--\r\n", boundary), scratch, spare, nil
}

// backupLog is the log as the copy of one evening holds it: UTF-16 with a byte order mark, as Windows programs write it.
// It knows how the runs of earlier evenings ended and that tonight's began, but not how tonight's ended: a copy is taken
// before its own result is written.
func backupLog(seed uint64, day int) []byte {
	var text []byte
	for d := 0; d <= day; d++ {
		text = appendLogDay(text, seed, d, d < day)
	}
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func appendLogDay(dst []byte, seed uint64, day int, over bool) []byte {
	r := newRNG(seed, 'L', uint64(day))
	machines := []string{"RECEPTION1", "RECEPTION2", "SURGERY1", "SURGERY2", "SURGERY3", "OFFICE"}
	users := []string{"jpatel", "sobrien", "mwood", "admin", "zmüller", "ahughes"}
	line := func(at time.Time, machine, result string) {
		dst = fmt.Appendf(dst, "%s\tComputer: %s\tUser: %s\tLocation: D:\\DataBkup\\databackup\tResult: %s\r\n",
			at.Format("02/01/2006 15:04:05"), machine, users[r.below(len(users))], result)
	}
	noon := Date(day).Add(12*time.Hour + 40*time.Minute)
	if m := machines[r.below(len(machines))]; r.below(3) == 0 {
		line(noon.Add(time.Duration(r.below(1200))*time.Second), m, "Started")
		result := "Successful"
		if r.below(4) == 0 {
			result = "Failed: file in use by another workstation"
		}
		line(noon.Add(time.Duration(1500+r.below(1200))*time.Second), m, result)
	}
	start := Evening(day).Add(-25 * time.Minute)
	line(start, machines[0], "Started")
	if over {
		line(Evening(day).Add(90*time.Second), machines[0], "Successful")
	}
	return dst
}
