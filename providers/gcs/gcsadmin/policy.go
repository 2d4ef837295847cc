package gcsadmin

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"offsite/providers"
)

// PolicyConfig says for which bucket and for whom policies are printed. Empty
// fields take the placeholders of the examples.
type PolicyConfig struct {
	Project string // default "practice-project"
	Bucket  string // default "practice-backup"
	Prefix  string // of the store in the bucket; default none
	// Member is who gets the role. Default: a service account of the project that is
	// named after the role, such as
	// "serviceAccount:offsite-uploader@practice-project.iam.gserviceaccount.com".
	Member string
}

func (c PolicyConfig) withDefaults(role providers.Role) (PolicyConfig, error) {
	if c.Project == "" {
		c.Project = "practice-project"
	}
	if c.Bucket == "" {
		c.Bucket = "practice-backup"
	}
	if c.Member == "" {
		c.Member = fmt.Sprintf("serviceAccount:offsite-%s@%s.iam.gserviceaccount.com", role, c.Project)
	}
	// Nothing that could end a quotation, or a word of a command.
	for what, c := range map[string]struct{ value, grammar string }{
		"project": {c.Project, `^[a-z0-9.:-]+$`},
		"bucket":  {c.Bucket, `^[a-z0-9._-]+$`},
		"member":  {c.Member, `^[a-zA-Z]+:[a-zA-Z0-9@._/:-]+$`},
	} {
		if !regexp.MustCompile(c.grammar).MatchString(c.value) {
			return PolicyConfig{}, errors.New(what + ": not the name of one")
		}
	}
	if c.Prefix != "" && !providers.ValidKey(c.Prefix) {
		return PolicyConfig{}, errors.New("prefix: not one of a store")
	}
	return c, nil
}

// customRole is one role that has to be made, and what its binding holds for.
type customRole struct {
	id, title, description string
	permissions            []permission
	when                   func(c PolicyConfig) (expression string) // nil or "": always
	project                bool                                     // granted on the project, because no bucket can be asked
	apart                  string                                   // commands of their own, of that name; empty: the credential's
}

type permission struct{ name, why string }

// Policies returns the roles that one credential needs, the conditions of their
// bindings, and the commands that put them there. It asks nobody.
func Policies(role providers.Role, c PolicyConfig) ([]providers.Document, error) {
	c, err := c.withDefaults(role)
	if err != nil {
		return nil, fmt.Errorf("print policy: %w", err)
	}
	roles, known := roles()[role]
	if !known {
		return nil, fmt.Errorf("print policy: no such role: %q", role)
	}
	var docs []providers.Document
	order := []string{string(role)}
	commands := map[string]string{}
	for _, r := range roles {
		name := string(role)
		if r.apart != "" {
			name = r.apart
			order = append(order, name)
		}
		docs = append(docs, r.documents(c, name)...)
		commands[name] += r.commands(c)
	}
	for _, name := range order {
		docs = append(docs, providers.Document{Name: name + ".commands.txt", Text: []byte(commands[name]),
			Use: fmt.Sprintf("Run each line, in the folder with the other files, signed in as an owner of the project: %s.", doings()[name])})
	}
	return docs, nil
}

// documents are the role's definition and the condition of its binding.
func (r customRole) documents(c PolicyConfig, commands string) []providers.Document {
	docs := []providers.Document{{Name: r.file() + ".role.yaml", Text: r.yaml(),
		Use: fmt.Sprintf("Defines the custom role %s; %s.commands.txt makes it.", r.id, commands)}}
	if expression := r.expression(c); expression != "" {
		docs = append(docs, providers.Document{Name: r.file() + ".condition.json", Text: r.condition(expression),
			Use: fmt.Sprintf("Limits where the role %s holds; %s.commands.txt grants it so.", r.id, commands)})
	}
	return docs
}

// commands make the role and grant it.
func (r customRole) commands(c PolicyConfig) string {
	grant, target, condition := "gcloud storage buckets add-iam-policy-binding", "gs://"+c.Bucket, "--condition=None"
	if r.project {
		grant, target = "gcloud projects add-iam-policy-binding", c.Project
	}
	if r.expression(c) != "" {
		condition = "--condition-from-file=" + r.file() + ".condition.json"
	}
	return fmt.Sprintf("gcloud iam roles create --project=%s --file=%s.role.yaml %s\n", c.Project, r.file(), r.id) +
		fmt.Sprintf("%s --member=%s --role=projects/%s/roles/%s %s %s\n", grant, c.Member, c.Project, r.id, condition, target)
}

func (r customRole) file() string { return strings.ReplaceAll(r.id, "_", "-") }

// roles are what each credential consists of.
func roles() map[providers.Role][]customRole {
	get := permission{"storage.objects.get", "read records, index segments and a sample of packs back"}
	list := permission{"storage.objects.list", "see what is stored, and until when"}
	lease := customRole{id: "offsite_lease", title: "offsite: raise leases",
		description: "Changes metadata, and so raises leases (customTime). The service lets none be moved earlier.",
		permissions: []permission{{"storage.objects.update", "customTime is metadata"}}, when: belowRemovable}
	return map[providers.Role][]customRole{
		providers.RoleUploader: {
			{id: "offsite_uploader", title: "offsite: store", description: "Creates objects and reads them. Writes over nothing, removes nothing.",
				permissions: []permission{{"storage.objects.create", "store; without the right to delete nothing can be written over"}, get, list}, when: belowPrefix},
			lease,
		},
		providers.RoleManager: {
			{id: "offsite_manager", title: "offsite: read for the manager of leases", description: "Reads records and the times of what they need. The service knows no right to read times alone.",
				permissions: []permission{get, list}, when: belowPrefix},
			lease,
		},
		providers.RoleRestore: {
			{id: "offsite_restore", title: "offsite: restore", description: "Reads everything, changes nothing.",
				permissions: []permission{get, list}, when: belowPrefix},
		},
		providers.RoleAdmin: {
			{id: "offsite_found", title: "offsite: make a bucket", description: "Makes buckets in this project. Needed once.",
				permissions: []permission{{"storage.buckets.create", "a bucket that is yet to be made can carry no binding"}}, project: true},
			{id: "offsite_admin", title: "offsite: set the bucket up", description: "Reads and changes the settings of one bucket. Reads and changes no object.",
				permissions: []permission{{"storage.buckets.get", "compare the settings with what they must be"}, {"storage.buckets.update", "set them"}},
				when:        thisBucket, project: true},
			{id: "offsite_emergency", title: "offsite: put in order by hand",
				description: "Replaces the header or a holder's file, clears holds, removes what a thief left. Take it back when that is done.",
				permissions: []permission{{"storage.objects.create", "a replacement is a new object"}, {"storage.objects.delete", "in place of an old one"}, get, list,
					{"storage.objects.update", "clear holds"}}, when: belowPrefix, apart: "emergency"},
		},
	}
}

// doings say in one sentence what a file of commands is for.
func doings() map[string]string {
	return map[string]string{
		string(providers.RoleUploader): "the practice PC's account then creates, reads, and raises leases",
		string(providers.RoleManager):  "the account of another machine then reads records and raises leases",
		string(providers.RoleRestore):  "the account then reads everything and changes nothing",
		string(providers.RoleAdmin):    "the administrator's account then makes the bucket and sets it up",
		"emergency":                    "the administrator's account then also changes objects; run them only when it must, and take the role back afterwards",
	}
}

// belowPrefix: the store's own part of a bucket that is shared. Listing is asked of
// the bucket, and names what it lists.
func belowPrefix(c PolicyConfig) string {
	if c.Prefix == "" {
		return ""
	}
	return objects(c, c.Prefix+"/") + fmt.Sprintf(` || api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith(%q)`, c.Prefix+"/")
}

// belowRemovable: the part that the removal rule covers; header and keys are not.
func belowRemovable(c PolicyConfig) string {
	if c.Prefix == "" {
		return objects(c, removable)
	}
	return objects(c, c.Prefix+"/"+removable)
}

func objects(c PolicyConfig, prefix string) string {
	return fmt.Sprintf("resource.name.startsWith(%q)", "projects/_/buckets/"+c.Bucket+"/objects/"+prefix)
}

func thisBucket(c PolicyConfig) string {
	return fmt.Sprintf("resource.name == %q", "projects/_/buckets/"+c.Bucket)
}

func (r customRole) expression(c PolicyConfig) string {
	if r.when == nil {
		return ""
	}
	return r.when(c)
}

// yaml is the role as `gcloud iam roles create --file` takes it.
func (r customRole) yaml() []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "title: %q\ndescription: %q\nstage: GA\nincludedPermissions:\n", r.title, r.description)
	for _, p := range r.permissions {
		fmt.Fprintf(&text, "- %s # %s\n", p.name, p.why)
	}
	return []byte(text.String())
}

// condition is a binding's condition as --condition-from-file takes it.
func (r customRole) condition(expression string) []byte {
	return fmt.Appendf(nil, "{\n  \"title\": %q,\n  \"description\": %q,\n  \"expression\": %q\n}\n",
		r.file(), "Limits where the role "+r.id+" holds.", expression)
}
