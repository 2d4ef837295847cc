package sheet

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"offsite/manifest/seal"
)

// textWidth fits a page printed in a fixed-width font.
const textWidth = 76

// Text writes the sheet as plain text, without the code to scan.
func (s Sheet) Text(w io.Writer) error {
	if err := s.validate(); err != nil {
		return err
	}
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("RECOVERY SHEET FOR %s", s.Practice)
	line("%s", strings.Repeat("=", textWidth))
	line("Repository   %s", s.Repository)
	line("Printed      %s", s.Date)
	line("Owner        %s", seal.Fingerprint(s.Owner))
	for i, address := range s.Stores {
		line("Store %d      %s", i+1, address)
	}
	line("")
	wrap(&b, "", keepText)
	line("")
	line("RESTORE KEY (secret)")
	line("")
	for i, row := range rows(s.Key.Line()) {
		line("   %d   %s", i+1, row)
	}
	line("")
	line("   Check  %s", Check(s.Key))
	wrap(&b, "   ", alphabetText)
	line("")
	line("RECOVERY HOLDERS, who can unlock the key without this sheet")
	line("")
	for _, h := range s.Holders {
		line("   %s  %s  %s", h.ID, h.Kind, h.Label)
	}
	if len(s.Holders) == 0 {
		line("   none: this sheet is the only way")
	}
	writeSteps(&b, "TO RESTORE WITH OFFSITE", s.withOffsite())
	writeSteps(&b, "TO RESTORE WITH AGE, ZSTD AND PYTHON ONLY", s.withoutOffsite())
	_, err := w.Write(b.Bytes())
	return err
}

const (
	keepText = "Whoever has this sheet can read every backup of the practice. Keep it locked away, in another building than " +
		"the computers. Never photograph it, mail it or store it on the practice's computers."
	alphabetText = "After row 1 the letters B, I and O and the digit 1 do not occur."
)

func writeSteps(b *bytes.Buffer, title string, steps []step) {
	fmt.Fprintf(b, "\n%s\n\n", title)
	for i, st := range steps {
		wrap(b, fmt.Sprintf("   %d. ", i+1), st.Text)
		for _, c := range st.Commands {
			fmt.Fprintf(b, "         %s\n", c)
		}
	}
}

// wrap writes text in lines of at most textWidth; the first begins with head, the
// others with as many blanks.
func wrap(b *bytes.Buffer, head, text string) {
	line := head
	indent := strings.Repeat(" ", len(head))
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > textWidth {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(b, line)
}
