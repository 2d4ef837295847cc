package verify

import (
	"fmt"
	"path"
	"strings"
)

// names looks for the traces that ransomware leaves on purpose: notes, and ends of
// names of its own.
func (c *comparison) names() {
	notes, ends, added := 0, 0, 0
	var details []string
	old := c.pass.history.clean
	for _, i := range c.candidates() {
		full := c.pass.set.At(i).Path
		name := strings.ToLower(path.Base(full))
		switch {
		case isNote(name):
			notes++
			details = c.name(details, i, "is named like a ransom note")
		case isRansomEnd(path.Ext(name)):
			ends++
			details = c.name(details, i, "has an end of its name that ransomware gives")
		default:
			// A second end on the name of a file that is gone: report.pdf.x7k2.
			short := strings.TrimSuffix(full, path.Ext(full))
			if short == full || path.Ext(short) == "" || old.len() == 0 {
				continue
			}
			if _, still := c.pass.set.Find(short); still {
				continue
			}
			if _, was := old.find(c.pass.history.key([]byte(short))); was {
				added++
				details = c.name(details, i, "is named after a file that is gone")
			}
		}
	}
	if notes+ends == 0 && added <= rewrittenFiles {
		return
	}
	c.report.Add(Finding{
		Check: "ransom-names", Level: LevelSuspect, Count: notes + ends + added,
		Measured: fmt.Sprintf("%s named like ransom notes, %d with ends that ransomware gives, %d with a second end", plural(notes, "file"), ends, added),
		Limit:    fmt.Sprintf("none, none, %d", rewrittenFiles),
		Remedy:   "disconnect the PC that wrote the backup, and ask for help before anything else is done",
	})
	c.report.AddDetail(details...)
}

// candidates are the files that were not there before.
func (c *comparison) candidates() []int {
	if c.pass.history.head.Clean == nil {
		return c.order
	}
	return c.fresh
}

// isNote knows the names of ransom notes: none is one that a practice would give.
func isNote(name string) bool {
	stem := strings.TrimSuffix(name, path.Ext(name))
	switch path.Ext(name) {
	case ".txt", ".html", ".htm", ".hta", ".url", ".bmp", ".png", "":
	default:
		return false
	}
	flat := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, stem)
	for _, k := range [...]string{"howtodecrypt", "howtorecover", "howtorestore", "howtoback", "decryptinstruction", "decryptfiles", "decryptmyfiles",
		"recoveryourfiles", "recoverfiles", "restorefiles", "restoreyourfiles", "yourfilesareencrypted", "filesencrypted", "helpdecrypt", "helprecover",
		"readmetodecrypt", "readmetorestore", "readmefordecrypt", "recoveryinstructions", "ransomnote", "unlockfiles", "wannadecryptor", "pleasereadme",
		"lockbit", "blackbasta", "akirareadme", "decryptreadme", "howtounlock"} {
		if strings.Contains(flat, k) {
			return true
		}
	}
	return false
}

// isRansomEnd knows ends of names that only ransomware is known to give.
func isRansomEnd(ext string) bool {
	switch ext {
	case ".locky", ".zepto", ".odin", ".osiris", ".wncry", ".wcry", ".wnry", ".wncryt", ".cerber", ".cerber2", ".cerber3", ".crypt12", ".cryptolocker",
		".encrypted_by", ".lockbit", ".lockbit2", ".lockbit3", ".abcd_locked", ".ryk", ".ryuk", ".conti", ".clop", ".akira", ".blackbasta", ".basta",
		".phobos", ".eking", ".eight", ".makop", ".djvu", ".djvus", ".stop_crypt", ".dharma", ".wallet_crypt", ".crysis", ".globeimposter", ".gandcrab",
		".krab", ".sodinokibi", ".maze", ".egregor", ".avos", ".avos2", ".avoslinux", ".hive", ".blackcat", ".alphv", ".royal", ".royal_w", ".rhysida",
		".medusa", ".medusalocker", ".play", ".lockfile", ".babyk", ".babuk", ".mallox", ".snatch", ".thanos", ".lock64", ".crypz", ".cryp1", ".crinf",
		".r5a", ".xrtn", ".ecc", ".ezz", ".exx", ".vvv", ".micro_crypt", ".petya", ".notpetya", ".badrabbit", ".cuba", ".quantum_locked", ".bianlian":
		return true
	}
	return false
}
