package s3admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// What nobody but an administrator may do. Each would take data or its protection
// away, or change it under the eyes of its readers.
var (
	harmfulToObjects = []string{"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention",
		"s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging",
		"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}
	harmfulToBucket = []string{"s3:PutLifecycleConfiguration", "s3:PutBucketVersioning", "s3:PutBucketObjectLockConfiguration",
		"s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutReplicationConfiguration", "s3:DeleteBucket"}
	// Known to AWS alone.
	harmfulAtAWS = []string{"s3:PutBucketAcl", "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration", "s3:PutBucketOwnershipControls"}
)

// statements are those that the bucket's own policy must hold.
func (c PolicyConfig) statements() []statement {
	able := c.Service.can()
	if able.principals {
		var out []statement
		for _, role := range providers.Roles() {
			out = append(out, c.named(role)...)
		}
		return out
	}
	all := []string{c.arn() + "/*"}
	out := c.limits()
	if able.conditions {
		out = append(out,
			deny("OffsiteNoEventHold", all, condition{"Null": {"s3:object-lock-event-hold": "false"}}, "s3:PutObject", "s3:PutObjectRetention"),
			deny("OffsiteNoCustomerKey", all, condition{"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}}, "s3:PutObject"),
			deny("OffsiteEncryptedLine", append([]string{c.arn()}, all...), condition{"Bool": {"aws:SecureTransport": "false"}}, "s3:*"))
	}
	if len(c.Admins) > 0 {
		others := condition{"ArnNotEquals": {"aws:PrincipalArn": c.Admins}}
		objects, bucket := slices.Clone(harmfulToObjects), slices.Clone(harmfulToBucket)
		if able.conditions {
			objects, bucket = append(objects, "s3:UpdateObjectEncryption"), append(bucket, harmfulAtAWS...)
		}
		out = append(out, deny("OffsiteNoHarmToObjects", all, others, objects...), deny("OffsiteNoHarmToBucket", []string{c.arn()}, others, bucket...))
	}
	for i := range out {
		out[i].Principal = "*"
	}
	return out
}

// named are the statements of a role at a service whose users have no policies of
// their own: what it needs, and a refusal of all that harms. The administrator is
// the owner of the bucket and needs none.
func (c PolicyConfig) named(role providers.Role) []statement {
	user := c.Users[role]
	if user == "" || role == providers.RoleAdmin {
		return nil
	}
	harmful := harmfulToObjects
	if role != providers.RoleManager {
		// Who put an object owns it and may lease it again, unless that is refused.
		harmful = append([]string{"s3:PutObjectRetention"}, harmful...)
	}
	title := strings.ToUpper(string(role[:1])) + string(role[1:])
	out := append(c.identity(role),
		deny("OffsiteNoHarmToObjects", []string{c.arn() + "/*"}, nil, harmful...),
		deny("OffsiteNoHarmToBucket", []string{c.arn()}, nil, harmfulToBucket...))
	for i := range out {
		out[i].Sid += title
		out[i].Principal = map[string][]string{"AWS": {user}}
	}
	return out
}

// bucketDocuments are the documents where all policies stand on the bucket.
func (c PolicyConfig) bucketDocuments(role providers.Role) ([]providers.Document, error) {
	if role == providers.RoleAdmin {
		return c.settingsDocuments(), nil
	}
	if c.Users[role] == "" {
		return nil, fmt.Errorf("the principal of the role %s is missing", role)
	}
	return []providers.Document{{Name: string(role) + ".bucket.json",
		Use:  "Statements of the bucket's policy; the administrator's documents hold those of all roles together.",
		Text: render(policy{Version: version, Statement: c.named(role)})}}, nil
}

// settingsDocuments are for those who set the bucket up by other means than store
// setup.
func (c PolicyConfig) settingsDocuments() []providers.Document {
	var out []providers.Document
	if c.Service.can().bucketPolicy {
		out = append(out, providers.Document{Name: "bucket-policy.json",
			Use:  fmt.Sprintf("The bucket's own policy, which store setup installs: aws s3api put-bucket-policy --bucket %s --policy file://bucket-policy.json.", c.Bucket),
			Text: render(policy{Version: version, Statement: c.statements()})})
	}
	r := rule(c.Prefix, c.HideDays)
	return append(out, providers.Document{Name: "lifecycle.json",
		Use: fmt.Sprintf("The removal rule, which store setup merges with other rules (this command replaces them): aws s3api put-bucket-lifecycle-configuration --bucket %s --lifecycle-configuration file://lifecycle.json.", c.Bucket),
		Text: render(map[string]any{"Rules": []any{map[string]any{
			"ID": *r.ID, "Status": string(r.Status), "Filter": map[string]any{"Prefix": *r.Filter.Prefix},
			"Expiration":                     map[string]any{"Days": *r.Expiration.Days},
			"NoncurrentVersionExpiration":    map[string]any{"NoncurrentDays": *r.NoncurrentVersionExpiration.NoncurrentDays},
			"AbortIncompleteMultipartUpload": map[string]any{"DaysAfterInitiation": *r.AbortIncompleteMultipartUpload.DaysAfterInitiation},
		}}})})
}

// stored is a policy as the service has it. Foreign statements stay as they are.
type stored struct {
	Version   string            `json:"Version,omitempty"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// present reads the bucket's policy; none is no error.
func (a *Admin) present(ctx context.Context) (stored, error) {
	out, err := a.client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: a.bucket})
	if err != nil {
		if wire.Read(err).Code == "NoSuchBucketPolicy" {
			err = nil
		}
		return stored{}, err
	}
	return parsePolicy([]byte(aws.ToString(out.Policy)))
}

func parsePolicy(text []byte) (stored, error) {
	var p stored
	if json.Unmarshal(text, &p) == nil {
		return p, nil
	}
	// A single statement may stand without its list.
	var one struct {
		stored
		Statement json.RawMessage
	}
	if err := json.Unmarshal(text, &one); err != nil {
		return p, errors.New("the bucket's policy is not readable JSON")
	}
	one.stored.Statement = []json.RawMessage{one.Statement}
	return one.stored, nil
}

func sidOf(raw json.RawMessage) string {
	var s struct{ Sid string }
	_ = json.Unmarshal(raw, &s) // a statement without a name is nobody's
	return s.Sid
}

// merge puts the wanted statements in place of those of the same name and says
// whether anything changes.
func merge(have stored, want []statement) (stored, bool) {
	out := stored{Version: have.Version, ID: have.ID}
	if out.Version == "" {
		out.Version = version
	}
	changed := false
	missing := slices.Clone(want)
	for _, raw := range have.Statement {
		i := slices.IndexFunc(missing, func(s statement) bool { return s.Sid == sidOf(raw) })
		if i < 0 {
			out.Statement = append(out.Statement, raw)
			continue
		}
		text := render(missing[i])
		changed = changed || !equalJSON(raw, text)
		out.Statement = append(out.Statement, text)
		missing = slices.Delete(missing, i, i+1)
	}
	for _, s := range missing {
		changed = true
		out.Statement = append(out.Statement, render(s))
	}
	return out, changed
}

// equalJSON compares statements: a text is the same as a list of it alone, and the
// order of lists does not matter.
func equalJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(plain(x), plain(y))
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
		return v
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = fmt.Sprint(e)
		}
		slices.Sort(texts)
		return texts
	}
	return []string{fmt.Sprint(v)}
}

func (a *Admin) setPolicy(ctx context.Context) error {
	if !a.cfg.Policy.Service.can().bucketPolicy {
		return nil
	}
	have, err := a.present(ctx)
	if err != nil {
		return a.fail(ctx, "look at bucket policy", err)
	}
	merged, changed := merge(have, a.cfg.Policy.statements())
	if !changed || len(merged.Statement) == 0 {
		return nil
	}
	_, err = a.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: a.bucket, Policy: aws.String(string(render(merged)))}, a.sums...)
	return a.fail(ctx, "set bucket policy", err)
}

func (a *Admin) policy(ctx context.Context) ([]providers.Setting, error) {
	const name, want = "bucket policy", "refuses what would undo a lease"
	if !a.cfg.Policy.Service.can().bucketPolicy {
		return nil, nil
	}
	have, err := a.present(ctx)
	if err != nil {
		return a.unseen(ctx, name, want, "s3:GetBucketPolicy", err)
	}
	var absent, grants []string
	for _, s := range a.cfg.Policy.statements() {
		i := slices.IndexFunc(have.Statement, func(raw json.RawMessage) bool { return sidOf(raw) == s.Sid })
		if i < 0 || !equalJSON(have.Statement[i], render(s)) {
			absent = append(absent, s.Sid)
		}
	}
	for _, raw := range have.Statement {
		if g := a.cfg.Policy.harmful(raw); g != "" {
			grants = append(grants, fmt.Sprintf("%q allows %s", sidOf(raw), g))
		}
	}
	told := want
	if len(absent) > 0 {
		told = "missing or changed: " + strings.Join(absent, ", ")
	}
	out := setting(name, want, told, len(absent) == 0, again)
	told = "none"
	if len(grants) > 0 {
		told = strings.Join(grants, "; ")
	}
	return append(out, setting("foreign grants", "none that could undo a lease", told, len(grants) == 0, "take these statements out of the bucket's policy")...), nil
}

// harmful is the first harmful action that a statement allows to somebody who is
// no administrator.
func (c PolicyConfig) harmful(raw json.RawMessage) string {
	var s struct {
		Effect                       string
		Action, NotAction, Principal any
	}
	if json.Unmarshal(raw, &s) != nil || s.Effect != "Allow" {
		return ""
	}
	if p, ok := s.Principal.(map[string]any); ok && len(p) == 1 && p["AWS"] != nil {
		who, _ := plain(p["AWS"]).([]string)
		if !slices.ContainsFunc(who, func(arn string) bool { return !slices.Contains(c.Admins, arn) }) {
			return ""
		}
	}
	if s.NotAction != nil {
		return "everything but some actions"
	}
	actions, _ := plain(s.Action).([]string)
	for _, pattern := range actions {
		for _, action := range slices.Concat(harmfulToObjects, harmfulToBucket) {
			if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(action)); ok || err != nil {
				return pattern
			}
		}
	}
	return ""
}
