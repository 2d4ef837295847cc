package s3admin_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"offsite/providers"
	"offsite/providers/s3/s3admin"
)

// Terraform takes the printed policies and replaces names in them. It must know the
// names, and say the rest as setup does.
func TestTerraformSaysTheSame(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "examples", "terraform", "aws")
	raw, err := os.ReadFile(filepath.Join(dir, "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(raw)), " ")
	c := examples()[0]
	for _, want := range []string{
		fmt.Sprintf(`"%s/%s/"`, c.Bucket, c.Prefix), fmt.Sprintf("%q", c.Bucket), `"\"` + c.Admins[0] + `\""`,
		fmt.Sprintf(`"\"%d\""`, int(c.Max/day)), fmt.Sprintf("default = %d", int(c.Max/day)),
		fmt.Sprintf("default = %d", int(s3admin.DefaultFloor/day)), `mode = "GOVERNANCE"`, "object_lock_enabled = true", `status = "Enabled"`,
		fmt.Sprintf("id = %q", s3admin.RuleID), `prefix = "${var.prefix}/r/"`, fmt.Sprintf("expiration { days = %d }", s3admin.DefaultHideDays),
		"noncurrent_version_expiration { noncurrent_days = 1 }", "abort_incomplete_multipart_upload { days_after_initiation = 3 }",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %s", want)
		}
	}
	rule, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "policies", "aws", "lifecycle.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf(`"Days": %d`, s3admin.DefaultHideDays), `"NoncurrentDays": 1`, `"DaysAfterInitiation": 3`} {
		if !strings.Contains(string(rule), want) {
			t.Errorf("the printed rule does not say %s:\n%s", want, rule)
		}
	}
	for _, role := range []providers.Role{providers.RoleUploader, providers.RoleManager, providers.RoleRestore} {
		docs, err := s3admin.Policies(role, c)
		if err != nil || !strings.Contains(text, docs[0].Name) && !strings.Contains(text, "${each.key}.iam.json") {
			t.Errorf("it does not use the policy of the %s: %v", role, err)
		}
	}
	if n := strings.Count(text, "{") - strings.Count(text, "}"); n != 0 {
		t.Errorf("%d braces are open", n)
	}
	if bad := regexp.MustCompile(`(?m)[ \t]+$|\t`).FindString(string(raw)); bad != "" {
		t.Errorf("tabs, or blanks at the end of a line")
	}
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("LEFT OUT, there is no terraform to check the format with")
	}
	if out, err := exec.Command("terraform", "fmt", "-check", "-diff", dir).CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}
