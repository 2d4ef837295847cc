package s3admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"offsite/providers"
	driver "offsite/providers/s3"
)

// Service is whose rights a policy speaks of.
type Service string

const (
	AWS    Service = "aws"
	Wasabi Service = "wasabi"
	B2     Service = "b2"
	MinIO  Service = "minio"
	Ceph   Service = "ceph"
	// Other is a service that nothing is known of: it has no policies here.
	Other Service = "other"
)

// ServiceOf tells the services apart that have addresses of their own; the rest is
// Other until somebody names it.
func ServiceOf(cfg driver.Config) Service {
	u, err := url.Parse(cfg.Endpoint)
	if cfg.Endpoint == "" || err != nil {
		return AWS
	}
	for suffix, s := range map[string]Service{"amazonaws.com": AWS, "amazonaws.com.cn": AWS, "wasabisys.com": Wasabi, "backblazeb2.com": B2} {
		if host := u.Hostname(); host == suffix || strings.HasSuffix(host, "."+suffix) {
			return s
		}
	}
	return Other
}

// can is what the policies of a service are able to say. What it lacks, the service
// does not enforce.
type can struct {
	bucketPolicy bool // a policy on the bucket, for everybody
	identities   bool // policies on users
	principals   bool // users are named in the bucket's policy, because they have none of their own
	lease        bool // a limit on the length of leases
	headers      bool // ... that also sees those given when an object is put
	conditions   bool // create-only, event holds, customer keys, transport
	// public: public access can be blocked. Ceph 16 takes all but the owner for the
	// public then, and refuses them.
	public bool
}

func (s Service) can() can {
	switch s {
	case AWS:
		return can{bucketPolicy: true, identities: true, lease: true, headers: true, conditions: true, public: true}
	case Wasabi:
		return can{bucketPolicy: true, identities: true, lease: true, headers: true, public: true}
	case MinIO:
		return can{identities: true, lease: true}
	case Ceph:
		return can{bucketPolicy: true, principals: true}
	}
	return can{public: true}
}

// PolicyConfig says for which bucket policies are made.
type PolicyConfig struct {
	Service    Service
	Bucket     string
	Prefix     string        // of the store, as in s3.Config
	Max        time.Duration // the longest lease allowed: longest class and slack
	Compliance bool          // leases in compliance mode are wanted, not refused
	// Split takes the raising of leases from the uploader and leaves it to a manager
	// on another machine. Objects then begin with the bucket's default retention.
	Split bool
	// Admins are the principals (ARNs) that may change the bucket's settings where
	// its policy refuses that to all others. None: the policy leaves that to the
	// policies of the users.
	Admins []string
	// Users are the principals (ARNs) of the roles, for services whose users have no
	// policies of their own (Ceph).
	Users map[providers.Role]string

	HideDays int // of the removal rule; zero: DefaultHideDays
}

// within fills what follows from the store.
func (c PolicyConfig) within(store driver.Config) PolicyConfig {
	if c.Service == "" {
		c.Service = ServiceOf(store)
	}
	if c.Bucket == "" {
		c.Bucket, c.Prefix = store.Bucket, store.Prefix
	}
	c.Compliance = c.Compliance || store.Compliance
	return c
}

func (c PolicyConfig) check() error {
	switch c.Service {
	case AWS, Wasabi, B2, MinIO, Ceph, Other:
	default:
		return fmt.Errorf("service %q is none of aws, wasabi, b2, minio, ceph, other", c.Service)
	}
	if c.Max <= 0 && c.Service.can().lease {
		return errors.New("the longest lease is missing: without it nothing stops a thief from leasing for a century")
	}
	if c.Service == Ceph && !c.Split {
		// Seen on Ceph 16.2: until 2125 is stored as until 1989.
		return errors.New("to Ceph a lease beyond the year 2106 is one of the past, so who may raise leases can end them: set split, and let a manager raise them")
	}
	return nil
}

// Policies returns the documents of a role: exactly what it needs.
func Policies(role providers.Role, c PolicyConfig) ([]providers.Document, error) {
	if c.Bucket == "" {
		return nil, errors.New("bucket is missing")
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.HideDays == 0 {
		c.HideDays = DefaultHideDays
	}
	switch {
	case c.Service == Other:
		return nil, errors.New("nothing is known of this service's policies; name the service, or grant by hand what the page of the driver lists")
	case c.Service == B2:
		return c.capabilities(role)
	case c.Service.can().principals:
		return c.bucketDocuments(role)
	}
	name := string(role)
	out := []providers.Document{{Name: name + ".iam.json", Use: c.use(name), Text: render(policy{Version: version, Statement: c.identity(role)})}}
	if role == providers.RoleAdmin {
		out = append(out, c.settingsDocuments()...)
	}
	return out, nil
}

func (c PolicyConfig) use(role string) string {
	if c.Service == MinIO {
		return fmt.Sprintf("A policy of the user offsite-%[1]s: mc admin policy create ALIAS offsite-%[1]s %[1]s.iam.json, then mc admin policy attach ALIAS offsite-%[1]s --user offsite-%[1]s.", role)
	}
	endpoint := ""
	if c.Service == Wasabi {
		endpoint = " --endpoint-url https://iam.wasabisys.com"
	}
	return fmt.Sprintf("A policy of the user offsite-%[1]s: aws iam put-user-policy --user-name offsite-%[1]s --policy-name offsite-%[1]s --policy-document file://%[1]s.iam.json%[2]s.", role, endpoint)
}

const version = "2012-10-17"

// policy and statement are documents in the order in which people read them.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal any `json:",omitempty"`
	Action    []string
	Resource  []string
	Condition condition `json:",omitempty"`
}

type condition map[string]map[string]any

func render(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic("s3admin: encode policy: " + err.Error()) // texts and lists of texts
	}
	return b.Bytes()
}

func (c PolicyConfig) arn() string { return "arn:aws:s3:::" + c.Bucket }

// keys are ARNs of objects below the store's prefix.
func (c PolicyConfig) keys(below_ ...string) []string {
	out := make([]string, len(below_))
	for i, k := range below_ {
		out[i] = c.arn() + "/" + below(c.Prefix) + k
	}
	return out
}

// founding are the objects that never lapse: the header and the keys.
func (c PolicyConfig) founding() []string { return c.keys("offsite.json", "keys/*") }

// identity are the statements of a role, without principals.
func (c PolicyConfig) identity(role providers.Role) []statement {
	bucket := []string{c.arn()}
	allow := func(sid string, resource []string, action ...string) statement {
		return statement{Sid: sid, Effect: "Allow", Action: action, Resource: resource}
	}
	list := allow("OffsiteList", bucket, "s3:ListBucket", "s3:ListBucketVersions")
	readAll := allow("OffsiteRead", c.keys("*"), "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention")
	switch role {
	case providers.RoleUploader:
		list.Action = append(list.Action, "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration")
		out := []statement{list, readAll}
		put := allow("OffsitePut", c.keys(removable+"*"), "s3:PutObject")
		if c.Service.can().conditions {
			// Nothing is ever written over, and then the uploader may found the store.
			put.Resource = append(put.Resource, c.founding()...)
			put.Condition = condition{"Null": {"s3:if-none-match": "false"}}
		}
		out = append(out, put)
		if !c.Split {
			out = append(out, allow("OffsiteRaise", c.keys(removable+"*"), "s3:PutObjectRetention"))
		}
		return append(out, c.leaseLimits()...)
	case providers.RoleManager:
		return append([]statement{list,
			allow("OffsiteReadRecords", append(c.keys(removable+"s/*", removable+"l/*", removable+"c/*"), c.founding()...), "s3:GetObject", "s3:GetObjectVersion"),
			allow("OffsiteRaise", c.keys(removable+"*"), "s3:GetObjectRetention", "s3:PutObjectRetention"),
		}, c.leaseLimits()...)
	case providers.RoleRestore:
		return []statement{list, readAll}
	}
	return []statement{
		allow("OffsiteSetUp", bucket, "s3:CreateBucket", "s3:ListBucket", "s3:ListBucketVersions",
			"s3:GetBucketVersioning", "s3:PutBucketVersioning",
			"s3:GetBucketObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration",
			"s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration",
			"s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock",
			"s3:GetBucketPolicy", "s3:PutBucketPolicy"),
		allow("OffsiteFound", c.founding(), "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:PutObject"),
	}
}

// leaseLimits are the refusals that belong to a user where the bucket has no policy.
// A limit that does not see the headers of a put needs those headers refused.
func (c PolicyConfig) leaseLimits() []statement {
	able := c.Service.can()
	if able.bucketPolicy || !able.lease {
		return nil
	}
	out := c.limits()
	if !able.headers {
		out = append(out, deny("OffsiteNoLeaseAtPut", c.keys("*"), condition{"Null": {"s3:object-lock-mode": "false"}}, "s3:PutObject"))
	}
	return out
}

func deny(sid string, resource []string, cond condition, action ...string) statement {
	return statement{Sid: sid, Effect: "Deny", Action: action, Resource: resource, Condition: cond}
}

// limits are what no lease may be. Conditions of one statement must all hold, so
// each stands in one of its own.
func (c PolicyConfig) limits() []statement {
	able := c.Service.can()
	puts := []string{"s3:PutObjectRetention"}
	if able.headers {
		puts = []string{"s3:PutObject", "s3:PutObjectRetention"}
	}
	all := []string{c.arn() + "/*"}
	out := []statement{deny("OffsiteLongestLease", all,
		condition{"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": strconv.Itoa(int((c.Max + day - 1) / day))}}, puts...)}
	if !c.Compliance {
		out = append(out, deny("OffsiteNoCompliance", all, condition{"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}}, puts...))
	}
	return out
}

func lower(s string) string { return strings.ToLower(s) }
