package gcsadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/googleapi"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/internal/wire"
)

// never is a metageneration that nothing has. A change bound to it changes
// nothing, and yet is refused for want of the right where the right is missing.
const never = "9223372036854775807"

// attacker tries with the upload credential what a thief of it would try.
type attacker struct{ api api }

// NewAttacker opens the bucket with the upload credential.
func NewAttacker(ctx context.Context, c gcs.Config) (providers.Attacker, error) {
	w, err := wire.Open(ctx, wire.Config(c))
	if err != nil {
		return nil, err
	}
	return &attacker{api{w}}, nil
}

// try is one thing to be tried.
type try struct {
	name, method, path string // path from the host's root
	query              url.Values
	contentType, body  string
	right              string // which right to take away if it is not refused
	keeps              bool   // yes is as good as no if the canary is as before
	accepted           string // why it need not be refused
}

// canary is how the object was found.
type canary struct {
	Generation, CustomTime string
	TemporaryHold          bool
	EventBasedHold         bool
	Retention              json.RawMessage
}

// Attack tries everything on the canary. It begins with a look, which must
// succeed: a credential that does not work at all would be refused everything.
// What could not be tried, because an earlier attempt harmed the canary, counts as
// not refused.
func (a *attacker) Attack(ctx context.Context, obj providers.Object) ([]providers.Attempt, error) {
	if !providers.ValidKey(obj.Key) || !strings.HasPrefix(obj.Key, providers.CanaryPrefix) {
		return nil, wire.Fail("attack", "", providers.ErrInvalid, errors.New("not a canary: only keys below "+providers.CanaryPrefix))
	}
	before, err := a.look(ctx, obj)
	if err != nil {
		return nil, err
	}
	lease, err := time.Parse(time.RFC3339, before.CustomTime)
	if err != nil || before.Generation != string(obj.Version) {
		return nil, wire.Fail("attack", obj.Key, providers.ErrInvalid, errors.New("the canary is another one, or has no lease to attack"))
	}
	attempts, err := a.ask(ctx)
	if err != nil {
		return nil, err
	}
	harmed := false
	for _, t := range a.tries(obj, lease) {
		attempt := providers.Attempt{Name: t.name, Remedy: t.right}
		if harmed {
			attempt.Answer = "not tried: the canary is harmed already"
			attempts = append(attempts, attempt)
			continue
		}
		if attempt.Answer, attempt.Refused, err = a.do(ctx, t); err != nil {
			return attempts, err
		}
		if !attempt.Refused {
			after, err := a.look(ctx, obj)
			if err != nil && !errors.Is(err, providers.ErrNotExist) {
				return attempts, err
			}
			same := err == nil && after.equal(before)
			harmed = !same
			attempt.Refused = same && t.keeps
			if same && t.accepted != "" {
				attempt.Accepted = t.accepted
			}
			if attempt.Refused {
				attempt.Answer += ", and nothing changed"
			}
		}
		if attempt.Refused {
			attempt.Remedy = ""
		}
		attempts = append(attempts, attempt)
	}
	return append(attempts, a.last(ctx, obj, before, harmed)), nil
}

// last looks whether the canary survived all of it.
func (a *attacker) last(ctx context.Context, obj providers.Object, before canary, harmed bool) providers.Attempt {
	attempt := providers.Attempt{Name: "harm the canary in any of these ways", Remedy: "see the attempts that were not refused"}
	after, err := a.look(ctx, obj)
	switch {
	case err != nil:
		attempt.Answer = "it cannot be looked at any more: " + err.Error()
	case harmed || !after.equal(before):
		attempt.Answer = "it is not as before"
	default:
		attempt.Refused, attempt.Answer, attempt.Remedy = true, "it is as before", ""
	}
	return attempt
}

func (c canary) equal(o canary) bool {
	return c.Generation == o.Generation && c.CustomTime == o.CustomTime && c.TemporaryHold == o.TemporaryHold &&
		c.EventBasedHold == o.EventBasedHold && string(c.Retention) == string(o.Retention)
}

// look reads the canary's metadata.
func (a *attacker) look(ctx context.Context, obj providers.Object) (canary, error) {
	var c canary
	data, err := a.api.do(ctx, "look at the canary", http.MethodGet, "b/"+url.PathEscape(a.api.wire.Bucket())+"/o/"+url.PathEscape(a.api.wire.Prefix()+obj.Key),
		url.Values{"projection": {"noAcl"}}, nil)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, wire.Fail("look at the canary", obj.Key, providers.ErrBusy, errors.New("answer is not about an object"))
	}
	return c, nil
}

// asked are rights that are too dangerous to try out. The service says of each
// whether this credential holds it on the bucket.
func asked() map[string]string {
	return map[string]string{
		"delete the bucket":                         "storage.buckets.delete",
		"change who may do what in the bucket":      "storage.buckets.setIamPolicy",
		"change the bucket's rules and periods":     "storage.buckets.update",
		"change who may do what to an object":       "storage.objects.setIamPolicy",
		"shorten or remove an object's own lock":    "storage.objects.overrideUnlockedRetention",
		"delete any object of the bucket":           "storage.objects.delete",
		"lock any object of the bucket":             "storage.objects.setRetention",
		"bring another state of an object back":     "storage.objects.restore",
		"move objects of the bucket to other names": "storage.objects.move",
	}
}

// ask asks about them, in one request.
func (a *attacker) ask(ctx context.Context) ([]providers.Attempt, error) {
	rights := asked()
	names := make([]string, 0, len(rights))
	query := url.Values{}
	for name, right := range rights {
		names = append(names, name)
		query.Add("permissions", right)
	}
	data, err := a.api.do(ctx, "ask for rights", http.MethodGet, "b/"+url.PathEscape(a.api.wire.Bucket())+"/iam/testPermissions", query, nil)
	if err != nil {
		return nil, err
	}
	var held struct{ Permissions []string }
	if err := json.Unmarshal(data, &held); err != nil {
		return nil, wire.Fail("ask for rights", "", providers.ErrBusy, errors.New("answer is not about rights"))
	}
	slices.Sort(names)
	var attempts []providers.Attempt
	for _, name := range names {
		attempt := providers.Attempt{Name: name, Refused: true, Answer: "has no " + rights[name]}
		if slices.Contains(held.Permissions, rights[name]) {
			attempt.Refused, attempt.Answer, attempt.Remedy = false, "has "+rights[name], takeAway(rights[name])
		}
		attempts = append(attempts, attempt)
	}
	return attempts, nil
}

func takeAway(right string) string { return "take " + right + " away from this account" }

// do makes one attempt. Refused is every answer by which nothing was done; an
// answer that settles nothing is an error.
func (a *attacker) do(ctx context.Context, t try) (answer string, refused bool, err error) {
	endpoint, err := url.Parse(a.api.wire.Endpoint())
	if err != nil {
		return "", false, wire.Fail("attack", "", providers.ErrInvalid, err)
	}
	address := endpoint.Scheme + "://" + endpoint.Host + t.path + "?" + t.query.Encode()
	res, call, err := a.api.send(ctx, t.method, address, t.contentType, []byte(t.body))
	if err != nil {
		return "", false, wire.Classify(ctx, "attack", "", call, err, true)
	}
	defer res.Body.Close()
	problem := googleapi.CheckResponse(res)
	var api *googleapi.Error
	if !errors.As(problem, &api) {
		return fmt.Sprint(res.StatusCode), false, nil
	}
	answer = fmt.Sprint(api.Code)
	if len(api.Errors) > 0 && api.Errors[0].Reason != "" {
		answer += " " + api.Errors[0].Reason
	}
	switch api.Code {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return "", false, wire.Classify(ctx, "attack", "", call, problem, true)
	case http.StatusPreconditionFailed:
		return answer, false, nil // the right is there; only the condition did not hold
	case http.StatusNotImplemented:
		return answer, true, nil
	}
	if api.Code < 400 || api.Code >= 500 {
		return "", false, wire.Classify(ctx, "attack", "", call, problem, true)
	}
	return answer, true, nil
}
