package gcstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// grant is one binding: what a member may do, where, and on which condition (R27).
type grant struct {
	member string
	role   Role
	bucket string // empty: granted on the project, which holds all buckets
	when   []term // any of them; none: always
}

// term is one alternative of a condition.
type term struct {
	on   string // "name", "name begins" or "list begins"
	text string
}

// Gcloud does what one printed command does: makes a role of a file, or grants one
// on a bucket or on the project. files are what stands beside the command, by name.
// Anything else is an error.
func (l *Layer) Gcloud(command string, files map[string][]byte) error {
	words := strings.Fields(command)
	flags := map[string]string{}
	plain := []string{}
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(name, "--") {
			flags[name] = value
			continue
		}
		plain = append(plain, w)
	}
	what := strings.Join(plain[:max(len(plain)-1, 0)], " ")
	target := ""
	if len(plain) > 0 {
		target = plain[len(plain)-1]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch what {
	case "gcloud iam roles create":
		role, err := parseRole(files[flags["--file"]])
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		l.roles["projects/"+flags["--project"]+"/roles/"+target] = role
		return nil
	case "gcloud storage buckets add-iam-policy-binding", "gcloud projects add-iam-policy-binding":
		role, known := l.roles[flags["--role"]]
		if !known || flags["--member"] == "" {
			return fmt.Errorf("%s: no such role, or no member", command)
		}
		g := grant{member: flags["--member"], role: role}
		g.bucket, _ = strings.CutPrefix(target, "gs://")
		if what == "gcloud projects add-iam-policy-binding" {
			g.bucket = ""
		}
		if file := flags["--condition-from-file"]; file != "" {
			var err error
			if g.when, err = parseCondition(files[file]); err != nil {
				return fmt.Errorf("%s: %w", command, err)
			}
		} else if flags["--condition"] != "None" {
			return fmt.Errorf("%s: neither a condition nor --condition=None", command)
		}
		l.grants = append(l.grants, g)
		return nil
	}
	return fmt.Errorf("not modelled: %s", command)
}

// parseRole reads the file of a custom role.
func parseRole(file []byte) (Role, error) {
	var role Role
	var fields map[string]any
	if err := yaml.Unmarshal(file, &fields); err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	list, _ := fields["includedPermissions"].([]any)
	for _, p := range list {
		text, _ := p.(string)
		if !slices.Contains(permissions(), text) {
			return nil, fmt.Errorf("role: no such permission: %q", text)
		}
		role = append(role, text)
	}
	for name := range fields {
		if !slices.Contains([]string{"title", "description", "stage", "includedPermissions"}, name) {
			return nil, fmt.Errorf("role: no such field: %q", name)
		}
	}
	if len(role) == 0 || fields["title"] == nil || fields["stage"] != "GA" {
		return nil, fmt.Errorf("role: a title, stage GA and permissions are needed")
	}
	return role, nil
}

// permissions are all that the modelled methods ask for.
func permissions() []string {
	var all []string
	for _, m := range methods() {
		all = append(all, m.needs...)
	}
	all = append(all, "storage.objects.delete", "storage.objects.setRetention")
	slices.Sort(all)
	return slices.Compact(all)
}

// parseCondition reads a condition's file. Alternatives of three forms are
// modelled; whatever else an expression may say is an error.
func parseCondition(file []byte) ([]term, error) {
	var c struct{ Expression, Title, Description string }
	if err := json.Unmarshal(file, &c); err != nil || c.Title == "" {
		return nil, fmt.Errorf("condition: not understood, or without a title")
	}
	forms := map[string]*regexp.Regexp{
		"name":        regexp.MustCompile(`^resource\.name == "([^"]+)"$`),
		"name begins": regexp.MustCompile(`^resource\.name\.startsWith\("([^"]+)"\)$`),
		"list begins": regexp.MustCompile(`^api\.getAttribute\("storage\.googleapis\.com/objectListPrefix", ""\)\.startsWith\("([^"]+)"\)$`),
	}
	var terms []term
	for part := range strings.SplitSeq(c.Expression, " || ") {
		found := false
		for on, form := range forms {
			if m := form.FindStringSubmatch(part); m != nil {
				terms, found = append(terms, term{on, m[1]}), true
			}
		}
		if !found {
			return nil, fmt.Errorf("condition: not modelled: %s", part)
		}
	}
	return terms, nil
}

// may reports whether the request's credential holds a permission for an object,
// or for the bucket where name is empty (R2, R27).
func (r *request) may(permission, name string) bool {
	if slices.Contains(r.role, permission) {
		return true
	}
	return slices.ContainsFunc(r.grants, func(g grant) bool {
		return slices.Contains(g.role, permission) && (g.bucket == "" || g.bucket == r.bucket) && g.holds(r, permission, name)
	})
}

func (g grant) holds(r *request, permission, name string) bool {
	resource := "projects/_/buckets/" + r.bucket
	switch {
	case permission == "storage.buckets.create":
		resource = "projects/project" // a bucket that is to be made has no name yet
	case name != "":
		resource += "/objects/" + name
	}
	return len(g.when) == 0 || slices.ContainsFunc(g.when, func(t term) bool {
		switch t.on {
		case "name":
			return resource == t.text
		case "name begins":
			return strings.HasPrefix(resource, t.text)
		}
		return permission == "storage.objects.list" && strings.HasPrefix(r.URL.Query().Get("prefix"), t.text)
	})
}
