package gcstest_test

import (
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

// RULES.md and the code name the same rules.
func TestEveryRuleIsWrittenAndKept(t *testing.T) {
	number := regexp.MustCompile(`\bR[0-9]+\b`)
	page, err := os.ReadFile("RULES.md")
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "| R"); ok {
			n, _, _ := strings.Cut(rest, " ")
			written = append(written, "R"+n)
		}
	}
	var kept []string
	for _, file := range []string{"layer.go", "objects.go", "lifecycle.go", "wire.go", "route.go", "iam.go", "bucket.go", "rules.go"} {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, number.FindAllString(string(code), -1)...)
	}
	sort.Strings(written)
	sort.Strings(kept)
	if kept = slices.Compact(kept); !slices.Equal(written, kept) {
		t.Errorf("RULES.md has %v\nthe code has %v", written, kept)
	}
}
