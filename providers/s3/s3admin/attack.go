package s3admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	driver "offsite/providers/s3"
	"offsite/providers/s3/internal/wire"
)

// attacker is somebody who has stolen a credential.
type attacker struct {
	client *s3.Client
	cfg    driver.Config
	sums   []func(*s3.Options)
}

// NewAttacker tries with the upload credential of cfg what must be refused to it.
//
// What a try leaves behind where it is not refused: delete markers and small new
// versions of the canary, a canary that is leased for longer. Settings of the bucket
// are written just as they were read, or not tried.
func NewAttacker(ctx context.Context, cfg driver.Config) (providers.Attacker, error) {
	cfg, client, err := reach(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &attacker{client: client, cfg: cfg, sums: checksums(cfg)}, nil
}

// try is one attack. It returns nil where it was not refused.
type try struct {
	name, right string
	do          func(context.Context, *target) error
	accepted    string // why it need not be refused; empty: it must be
}

// target is the canary under attack.
type target struct {
	a       *attacker
	obj     providers.Object
	bucket  *string
	key     *string
	version *string
}

// errNotTried: the way to try it without harm is closed.
type errNotTried struct{ why string }

func (e errNotTried) Error() string { return e.why }

// errDone: it was done, and this came of it.
type errDone struct{ what string }

func (e errDone) Error() string { return e.what }

// errHarmless: it was done, and the canary is as it was.
var errHarmless = errors.New("done, and the pinned version reads as before")

// Attack tries everything; see providers.Attacker.
func (a *attacker) Attack(ctx context.Context, canary providers.Object) ([]providers.Attempt, error) {
	refuse := func(text string) ([]providers.Attempt, error) {
		return nil, wire.Fail("attack", "", providers.ErrInvalid, errors.New(text))
	}
	switch {
	case !providers.ValidKey(canary.Key) || !strings.HasPrefix(canary.Key, providers.CanaryPrefix):
		return refuse("only canaries are attacked")
	case canary.Version == "" || strings.HasPrefix(string(canary.Version), "etag:") || canary.Lease.IsZero():
		return refuse("the canary needs a version and a lease")
	}
	t := &target{a: a, obj: canary, bucket: aws.String(a.cfg.Bucket), key: aws.String(below(a.cfg.Prefix) + canary.Key), version: aws.String(string(canary.Version))}
	// With a credential that is good for nothing everything would look refused.
	if err := t.reads(ctx); err != nil {
		return nil, wire.Wrap(ctx, "read canary before the attack", canary.Key, false, err)
	}
	var out []providers.Attempt
	for _, try := range tries(a.cfg) {
		attempt, err := t.judge(ctx, try, try.do(ctx, t))
		if err != nil {
			return out, err
		}
		out = append(out, attempt)
		if !attempt.Refused && t.unharmed(ctx) == nil {
			out[len(out)-1].Answer += "; the canary is gone"
			return out, nil // there is nothing left to attack
		}
	}
	if err := t.reads(ctx); err != nil {
		return out, wire.Wrap(ctx, "read canary after the attack", canary.Key, false, err)
	}
	return out, nil
}

// reads says whether the pinned version still has its length.
func (t *target) reads(ctx context.Context) error {
	out, err := t.a.client.GetObject(ctx, &s3.GetObjectInput{Bucket: t.bucket, Key: t.key, VersionId: t.version})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(out.Body, providers.MaxObject))
	if err == nil && n != t.obj.Size {
		err = fmt.Errorf("%d bytes, not %d", n, t.obj.Size)
	}
	return err
}

// Codes by which services refuse what a right or a lease does not allow. Others of
// the same status (a wrong signature, a wrong clock) say that nothing was judged.
var (
	refusals = []string{"AccessDenied", "AccessDeniedException", "ObjectLocked", "MethodNotAllowed", "NotImplemented",
		"AccessControlListNotSupported", "InvalidRetentionPeriod"}
	// The right was there; something else was in the way.
	granted = []string{"MalformedPolicy", "InvalidPolicyDocument", "BucketNotEmpty", "MalformedXML"}
)

// judge says what an answer means. An error means that the answer says nothing.
func (t *target) judge(ctx context.Context, try try, err error) (providers.Attempt, error) {
	out := providers.Attempt{Name: try.name}
	var skipped errNotTried
	var done errDone
	answer := wire.Read(err)
	switch {
	case errors.As(err, &skipped), errors.Is(err, errHarmless):
		out.Refused, out.Answer = true, err.Error()
		return out, nil
	case errors.As(err, &done):
		out.Answer = done.what
	case err == nil:
		out.Answer = "done"
	case slices.Contains(refusals, answer.Code), answer.Code == "" && answer.Status == http.StatusForbidden, lockRefuses(answer):
		out.Refused, out.Answer = true, answer.Code
		if out.Answer == "" {
			out.Answer = http.StatusText(answer.Status)
		}
		return out, nil
	case slices.Contains(granted, answer.Code):
		out.Answer = "allowed, and then " + answer.Code
	default:
		return out, wire.Wrap(ctx, "attack by "+try.name, t.obj.Key, false, err)
	}
	if out.Accepted = try.accepted; out.Accepted == "" {
		out.Remedy = "take " + try.right + " from the upload credential; store policy prints what it needs"
	}
	return out, nil
}

// lockRefuses knows how services without a code of their own for it refuse what a
// lease forbids.
func lockRefuses(a wire.Answer) bool {
	if a.Code != "InvalidRequest" && a.Code != "InvalidArgument" {
		return false
	}
	text := strings.ToLower(a.Message)
	return slices.ContainsFunc([]string{"worm", "lock", "retention", "retain"}, func(word string) bool { return strings.Contains(text, word) })
}
