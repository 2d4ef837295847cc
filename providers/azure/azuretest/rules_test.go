package azuretest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every rule in RULES.md names a test that exists.
func TestRulesNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("RULES.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(data)
	}
	rules := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| rule ") {
			continue
		}
		rules++
		tests := regexp.MustCompile("`(Test\\w+)` \\|$").FindStringSubmatch(strings.TrimSpace(line))
		if tests == nil || !strings.Contains(code.String(), "func "+tests[1]+"(") {
			t.Errorf("no such test: %s", line)
		}
	}
	if rules < 20 {
		t.Errorf("found only %d rules", rules)
	}
}
