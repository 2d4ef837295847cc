package azuretest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// resources are what the management plane keeps, as its JSON.
type resources struct {
	account    object // nil: there is none
	service    object
	policy     object // of the account's rules; nil: none
	containers map[string]*managed
	tasks      []any
}

type object = map[string]any

// managed is a container as the management plane shows it.
type managed struct {
	public   any
	days     float64 // of the default policy; 0: none
	locked   bool
	revision int // the policy's ETag
}

const (
	storage   = "Microsoft.Storage/storageAccounts"
	apiOfARM  = "2024-01-01"
	mostRules = 100
)

// ARM is the management plane of the Layer's account: the few resources that
// providers/azure/azureadmin asks for. It is an http.Handler.
type ARM struct {
	l   *Layer
	mux *http.ServeMux
}

// NewARM makes the management plane of a subscription and a resource group. Without
// account there is none until somebody makes one.
func NewARM(l *Layer, subscription, group string, account bool) *ARM {
	a := &ARM{l: l, mux: http.NewServeMux()}
	l.arm = resources{containers: map[string]*managed{}, service: object{"isVersioningEnabled": l.opt.Versions}}
	if l.opt.Tracking {
		l.arm.service["lastAccessTimeTrackingPolicy"] = object{"enable": true}
	}
	if account {
		l.arm.account = object{"kind": "StorageV2", "location": "testland", "properties": object{"allowBlobPublicAccess": true, "minimumTlsVersion": "TLS1_0"}}
	}
	top := "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/" + storage + "/" + l.opt.Upstream.Account
	box := top + "/blobServices/default/containers/{container}"
	worm := box + "/immutabilityPolicies/default"
	for pattern, h := range map[string]handler{
		"GET " + top:                           {storage + "/read", a.getAccount},
		"PUT " + top:                           {storage + "/write", a.putAccount},
		"PATCH " + top:                         {storage + "/write", a.patchAccount},
		"GET " + top + "/blobServices/default": {storage + "/blobServices/read", a.getService},
		"PUT " + top + "/blobServices/default": {storage + "/blobServices/write", a.putService},
		"GET " + box:                           {containers + "read", a.getContainer},
		"PUT " + box:                           {containers + "write", a.putContainer},
		"PATCH " + box:                         {containers + "write", a.putContainer},
		"GET " + worm:                          {containers + "immutabilityPolicies/read", a.getPolicy},
		"PUT " + worm:                          {containers + "immutabilityPolicies/write", a.putPolicy},
		"POST " + worm + "/extend":             {containers + "immutabilityPolicies/extend/action", a.extendPolicy},
		"POST " + worm + "/lock":               {containers + "immutabilityPolicies/lock/action", a.lockPolicy},
		"GET " + top + "/managementPolicies/default": {storage + "/managementPolicies/read", a.getRules},
		"PUT " + top + "/managementPolicies/default": {storage + "/managementPolicies/write", a.putRules},
		"GET " + top + "/storageTaskAssignments":     {storage + "/storageTaskAssignments/read", a.getTasks},
	} {
		a.mux.HandleFunc(pattern, a.guarded(h))
	}
	return a
}

type handler struct {
	action string
	serve  func(r *http.Request, body object) (int, any)
}

func (a *ARM) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// guarded lets only roles with the permission in, and shows one request at a time.
func (a *ARM) guarded(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.l.write.Lock()
		defer a.l.write.Unlock()
		w.Header().Set("X-Ms-Request-Id", "arm")
		w.Header().Set("Content-Type", "application/json")
		a.l.mu.Lock()
		role, known := a.l.roles[bearer(r)]
		a.l.count["ARM "+r.Method]++
		a.l.mu.Unlock()
		var body object
		status, answer := 0, any(nil)
		switch {
		case !known:
			status, answer = no(http.StatusUnauthorized, "AuthenticationFailed")
		case !role.allows(h.action):
			status, answer = no(http.StatusForbidden, "AuthorizationFailed")
		case r.URL.Query().Get("api-version") != apiOfARM:
			status, answer = no(http.StatusBadRequest, "NoRegisteredProviderFound")
		case r.ContentLength > 0 && json.NewDecoder(r.Body).Decode(&body) != nil:
			status, answer = no(http.StatusBadRequest, "InvalidRequestContent")
		case a.l.arm.account == nil && !(r.Method == http.MethodPut && h.action == storage+"/write"):
			status, answer = no(http.StatusNotFound, "ResourceNotFound")
		default:
			status, answer = h.serve(r, body)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func no(status int, code string) (int, any) {
	return status, object{"error": object{"code": code, "message": code}}
}

// AddRule puts a rule of somebody else, as JSON, into the account's policy.
func (a *ARM) AddRule(rule string) error {
	var o object
	if err := json.Unmarshal([]byte(rule), &o); err != nil {
		return err
	}
	a.l.write.Lock()
	defer a.l.write.Unlock()
	rules, _ := a.l.arm.policy["rules"].([]any)
	a.l.arm.policy = object{"rules": append(slices.Clone(rules), any(o))}
	return a.apply()
}

// AddTask puts a storage task's assignment there.
func (a *ARM) AddTask(name string, enabled bool) {
	a.l.write.Lock()
	defer a.l.write.Unlock()
	a.l.arm.tasks = append(a.l.arm.tasks, object{"name": name, "properties": object{"enabled": enabled, "taskId": "t", "description": "",
		"executionContext": object{"trigger": object{"type": "OnSchedule", "parameters": object{"startOn": "2026-01-01T00:00:00Z"}}}, "report": object{"prefix": "p"}}})
}

// Rules are the account's rules as JSON.
func (a *ARM) Rules() string {
	a.l.write.Lock()
	defer a.l.write.Unlock()
	text, _ := json.Marshal(a.l.arm.policy["rules"])
	return string(text)
}

func (a *ARM) getAccount(*http.Request, object) (int, any) { return http.StatusOK, a.l.arm.account }

func (a *ARM) putAccount(_ *http.Request, body object) (int, any) {
	if a.l.arm.account == nil {
		a.l.arm.account = body
	}
	return http.StatusOK, a.l.arm.account
}

func (a *ARM) patchAccount(_ *http.Request, body object) (int, any) {
	properties, _ := a.l.arm.account["properties"].(object)
	set, _ := body["properties"].(object)
	maps.Copy(properties, set)
	return http.StatusOK, a.l.arm.account
}

func (a *ARM) getService(*http.Request, object) (int, any) {
	return http.StatusOK, object{"name": "default", "properties": a.l.arm.service}
}

// putService replaces all properties: what is left out is switched off.
func (a *ARM) putService(_ *http.Request, body object) (int, any) {
	properties, _ := body["properties"].(object)
	if properties == nil {
		return no(http.StatusBadRequest, "InvalidRequestContent")
	}
	versions, _ := properties["isVersioningEnabled"].(bool)
	access, _ := properties["lastAccessTimeTrackingPolicy"].(object)
	tracking, _ := access["enable"].(bool)
	a.l.mu.Lock()
	worm := slices.ContainsFunc(slices.Collect(maps.Values(a.l.containers)), func(c container) bool { return c.immutable })
	if !versions && worm {
		a.l.mu.Unlock()
		return no(http.StatusConflict, "FeatureNotSupportedForAccount")
	}
	a.l.versions = versions
	a.l.mu.Unlock()
	a.l.SetTracking(tracking)
	a.l.arm.service = properties
	return a.getService(nil, nil)
}

func (a *ARM) getContainer(r *http.Request, _ object) (int, any) {
	name := r.PathValue("container")
	m := a.l.arm.containers[name]
	if m == nil {
		return no(http.StatusNotFound, "ContainerNotFound")
	}
	a.l.mu.Lock()
	worm := a.l.containers[name].immutable
	a.l.mu.Unlock()
	properties := object{"publicAccess": m.public, "hasImmutabilityPolicy": m.days > 0}
	if worm {
		properties["immutableStorageWithVersioning"] = object{"enabled": true}
	}
	return http.StatusOK, object{"name": name, "properties": properties}
}

func (a *ARM) putContainer(r *http.Request, body object) (int, any) {
	name := r.PathValue("container")
	properties, _ := body["properties"].(object)
	with, _ := properties["immutableStorageWithVersioning"].(object)
	worm, _ := with["enabled"].(bool)
	m := a.l.arm.containers[name]
	a.l.mu.Lock()
	versions, is := a.l.versions, a.l.containers[name].immutable
	a.l.mu.Unlock()
	switch {
	case m == nil && r.Method == http.MethodPatch:
		return no(http.StatusNotFound, "ContainerNotFound")
	case m != nil && worm && !is, worm && !versions:
		return no(http.StatusConflict, "FeatureNotSupported") // only when it is made, or by a migration
	case m == nil:
		if err := a.create(r, name); err != nil {
			return no(http.StatusInternalServerError, "InternalError")
		}
		m = &managed{public: "None"}
		a.l.arm.containers[name] = m
		a.l.mu.Lock()
		a.l.containers[name] = container{immutable: worm}
		a.l.mu.Unlock()
	}
	if p, ok := properties["publicAccess"]; ok {
		m.public = p
	}
	return a.getContainer(r, nil)
}

// create makes the container in Azurite.
func (a *ARM) create(r *http.Request, name string) error {
	var client *service.Client
	client, err := a.l.service()
	if err != nil {
		return err
	}
	_, err = client.CreateContainer(r.Context(), name, nil)
	return err
}

func (m *managed) etag() string { return fmt.Sprintf(`"%d"`, m.revision) }

func (m *managed) show() (int, any) {
	state := "Unlocked"
	if m.locked {
		state = "Locked"
	}
	return http.StatusOK, object{"name": "default", "etag": m.etag(), "properties": object{"immutabilityPeriodSinceCreationInDays": m.days, "state": state}}
}

// policyOf finds the container of a call about its default policy, and the days.
func (a *ARM) policyOf(r *http.Request, body object) (*managed, float64) {
	properties, _ := body["properties"].(object)
	days, _ := properties["immutabilityPeriodSinceCreationInDays"].(float64)
	return a.l.arm.containers[r.PathValue("container")], days
}

func (a *ARM) getPolicy(r *http.Request, _ object) (int, any) {
	m, _ := a.policyOf(r, nil)
	if m == nil || m.days == 0 {
		return no(http.StatusNotFound, "ResourceNotFound")
	}
	return m.show()
}

// putPolicy makes a default policy, or changes one that is not locked.
func (a *ARM) putPolicy(r *http.Request, body object) (int, any) {
	m, days := a.policyOf(r, body)
	switch {
	case m == nil:
		return no(http.StatusNotFound, "ContainerNotFound")
	case m.locked:
		return no(http.StatusConflict, "ImmutabilityPolicyLocked")
	case days < 1 || days > longestPolicyDays:
		return no(http.StatusBadRequest, "InvalidRequestPropertyValue")
	case m.days > 0 && r.Header.Get("If-Match") != m.etag():
		return no(http.StatusPreconditionFailed, "PreconditionFailed")
	}
	return a.setPolicy(r, m, days, false)
}

// extendPolicy makes a locked default policy longer.
func (a *ARM) extendPolicy(r *http.Request, body object) (int, any) {
	m, days := a.policyOf(r, body)
	switch {
	case m == nil || m.days == 0:
		return no(http.StatusNotFound, "ResourceNotFound")
	case r.Header.Get("If-Match") != m.etag():
		return no(http.StatusPreconditionFailed, "PreconditionFailed")
	case !m.locked || days < m.days:
		return no(http.StatusConflict, "ImmutabilityPolicyNotExtendable")
	}
	return a.setPolicy(r, m, days, true)
}

func (a *ARM) lockPolicy(r *http.Request, _ object) (int, any) {
	m, _ := a.policyOf(r, nil)
	switch {
	case m == nil || m.days == 0:
		return no(http.StatusNotFound, "ResourceNotFound")
	case r.Header.Get("If-Match") != m.etag():
		return no(http.StatusPreconditionFailed, "PreconditionFailed")
	}
	return a.setPolicy(r, m, m.days, true)
}

func (a *ARM) setPolicy(r *http.Request, m *managed, days float64, locked bool) (int, any) {
	m.days, m.locked, m.revision = days, locked, m.revision+1
	a.l.mu.Lock()
	c := a.l.containers[r.PathValue("container")]
	c.standard, c.unlocked = time.Duration(days)*day, !locked
	a.l.containers[r.PathValue("container")] = c
	a.l.mu.Unlock()
	return m.show()
}

func (a *ARM) getRules(*http.Request, object) (int, any) {
	if a.l.arm.policy == nil {
		return no(http.StatusNotFound, "ManagementPolicyNotFound")
	}
	return http.StatusOK, object{"name": "DefaultManagementPolicy", "properties": object{"policy": a.l.arm.policy, "lastModifiedTime": "2026-11-20T19:00:00Z"}}
}

var ruleName = regexp.MustCompile(`^[A-Za-z0-9]{1,256}$`)

// putRules replaces all rules of the account.
func (a *ARM) putRules(_ *http.Request, body object) (int, any) {
	properties, _ := body["properties"].(object)
	policy, _ := properties["policy"].(object)
	rules, _ := policy["rules"].([]any)
	names := map[string]bool{}
	for _, r := range rules {
		rule, _ := r.(object)
		name, _ := rule["name"].(string)
		if !ruleName.MatchString(name) || names[name] {
			return no(http.StatusBadRequest, "InvalidRequestPropertyValue")
		}
		names[name] = true
	}
	if len(rules) == 0 || len(rules) > mostRules {
		return no(http.StatusBadRequest, "InvalidRequestPropertyValue")
	}
	before := a.l.arm.policy
	a.l.arm.policy = policy
	if err := a.apply(); err != nil {
		a.l.arm.policy = before
		return no(http.StatusBadRequest, "InvalidRequestPropertyValue")
	}
	return a.getRules(nil, nil)
}

func (a *ARM) getTasks(*http.Request, object) (int, any) {
	return http.StatusOK, object{"value": a.l.arm.tasks}
}

// apply makes the policy's rules those that the Layer runs.
func (a *ARM) apply() error {
	rules, _ := a.l.arm.policy["rules"].([]any)
	var all []Rule
	for _, r := range rules {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		var in lifecycleRule
		if err := json.Unmarshal(text, &in); err != nil {
			return err
		}
		made, err := in.rules()
		if err != nil {
			return err
		}
		all = append(all, made...)
	}
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	if !a.l.tracking && slices.ContainsFunc(all, func(r Rule) bool { return r.DaysAfterLastAccess > 0 }) {
		return fmt.Errorf("tracking is off")
	}
	a.l.rules = all
	return nil
}

// lifecycleRule is what the Layer reads of a rule's JSON.
type lifecycleRule struct {
	Enabled    *bool
	Definition struct {
		Filters struct {
			PrefixMatch    []string
			BlobTypes      []string
			BlobIndexMatch []any
		}
		Actions struct {
			BaseBlob, Version struct {
				Delete struct {
					DaysAfterCreationGreaterThan, DaysAfterModificationGreaterThan, DaysAfterLastAccessTimeGreaterThan int
				}
			}
		}
	}
}

// rules are what the Layer runs for a rule: one for each prefix.
func (r lifecycleRule) rules() ([]Rule, error) {
	f := r.Definition.Filters
	block := slices.ContainsFunc(f.BlobTypes, func(t string) bool { return strings.EqualFold(t, "blockBlob") })
	switch {
	case len(f.BlobTypes) == 0 || len(f.PrefixMatch) > 10:
		return nil, fmt.Errorf("filters are wrong")
	case r.Enabled != nil && !*r.Enabled || !block || len(f.BlobIndexMatch) > 0: // nothing here has tags
		return nil, nil
	}
	base, version := r.Definition.Actions.BaseBlob.Delete, r.Definition.Actions.Version.Delete
	out := Rule{DaysAfterCreation: base.DaysAfterCreationGreaterThan, DaysAfterModification: base.DaysAfterModificationGreaterThan,
		DaysAfterLastAccess: base.DaysAfterLastAccessTimeGreaterThan, VersionDaysAfterCreation: version.DaysAfterCreationGreaterThan}
	if len(f.PrefixMatch) == 0 {
		return []Rule{out}, nil
	}
	var all []Rule
	for _, prefix := range f.PrefixMatch {
		out.Prefix = prefix
		all = append(all, out)
	}
	return all, nil
}
