package azuretest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// letters are the permissions of a SAS, any of which an operation needs. What is not
// here no SAS of a container allows.
var letters = map[string]string{
	"Get Blob": "r", "Get Blob Properties": "r", "List Blobs": "l", "Put Blob": "cw", "Copy Blob": "cw", "Delete Blob": "d",
	"Set Blob Immutability Policy": "i", "Delete Blob Immutability Policy": "i", "Set Blob Legal Hold": "i", "Set Blob Metadata": "w",
	"Set Blob Properties": "w", "Set Blob Tags": "t", "Set Blob Tier": "w", "Put Block": "w", "Put Block List": "w", "Lease Blob": "w",
	"Snapshot Blob": "cw", "Undelete Blob": "w",
}

const (
	containers = "Microsoft.Storage/storageAccounts/blobServices/containers/"
	blobs      = containers + "blobs/"
)

// actions are the permissions of a role, any of which an operation needs.
var actions = map[string][]string{
	"Get Blob": {blobs + "read"}, "Get Blob Properties": {blobs + "read"}, "List Blobs": {blobs + "read"},
	"Put Blob": {blobs + "write", blobs + "add/action"}, "Copy Blob": {blobs + "write", blobs + "add/action"},
	"Snapshot Blob": {blobs + "write", blobs + "add/action"},
	"Put Block":     {blobs + "write"}, "Put Block List": {blobs + "write"}, "Set Blob Metadata": {blobs + "write"},
	"Set Blob Properties": {blobs + "write"}, "Set Blob Tier": {blobs + "write"}, "Lease Blob": {blobs + "write"},
	"Undelete Blob": {blobs + "write"}, "Set Blob Tags": {blobs + "tags/write"}, "Delete Blob": {blobs + "delete"},
	"Set Blob Immutability Policy":    {blobs + "immutableStorage/runAsSuperUser/action"},
	"Delete Blob Immutability Policy": {blobs + "immutableStorage/runAsSuperUser/action"},
	"Set Blob Legal Hold":             {blobs + "immutableStorage/runAsSuperUser/action"},

	"Create Container": {containers + "write"}, "Set Container Metadata": {containers + "write"}, "Lease Container": {containers + "write"},
	"Delete Container": {containers + "delete"}, "Get Container Properties": {containers + "read"},
	"Set Container ACL":           {containers + "setAcl/action"},
	"Get Service":                 {"Microsoft.Storage/storageAccounts/blobServices/read"},
	"Set Blob Service Properties": {"Microsoft.Storage/storageAccounts/blobServices/write"},
}

// role is a role definition as `az role definition create` takes it.
type role struct {
	Actions, NotActions, DataActions, NotDataActions []string
}

// allows says whether the role has any of the permissions, of the data or of the
// management plane.
func (r role) allows(any ...string) bool {
	return slices.ContainsFunc(any, func(action string) bool {
		has := func(patterns []string) bool {
			return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, action) })
		}
		return has(r.Actions) && !has(r.NotActions) || has(r.DataActions) && !has(r.NotDataActions)
	})
}

// covers says whether a permission, perhaps with a star, is that of the action.
func covers(pattern, action string) bool {
	before, after, star := strings.Cut(strings.ToLower(pattern), "*")
	action = strings.ToLower(action)
	if !star {
		return action == before
	}
	return len(action) >= len(before)+len(after) && strings.HasPrefix(action, before) && strings.HasSuffix(action, after)
}

// Assign gives whoever holds the bearer token the role of a role definition.
func (l *Layer) Assign(token string, definition []byte) error {
	var r role
	if err := json.Unmarshal(definition, &r); err != nil {
		return fmt.Errorf("read role definition: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roles[token] = r
	return nil
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == r.Header.Get("Authorization") {
		return ""
	}
	return token
}

func (c *call) token() string { return bearer(c.r) }

// permitted holds a SAS to its letters and a token to its role. The signature of a
// SAS is Azurite's to check, and a shared key may do everything.
func (c *call) permitted(op string) bool {
	superUser := c.r.Header.Get("X-Ms-Immutability-Policy-Until-Date") != "" || c.r.Header.Get("X-Ms-Legal-Hold") != ""
	var ok bool
	switch {
	case c.token() != "":
		c.l.mu.Lock()
		r, known := c.l.roles[c.token()]
		c.l.mu.Unlock()
		if !known {
			c.refuse(http.StatusUnauthorized, "InvalidAuthenticationInfo")
			return false
		}
		need := actions[op]
		if op == "Delete Blob" && c.query.Has("versionid") {
			need = []string{blobs + "deleteBlobVersion/action"}
		}
		ok = r.allows(need...) && (!superUser || r.allows(blobs+"immutableStorage/runAsSuperUser/action"))
	case c.query.Get("sig") != "":
		has, need := c.query.Get("sp"), letters[op]
		if op == "Delete Blob" && c.query.Has("versionid") {
			need = "x"
		}
		ok = strings.ContainsAny(has, need) && (!superUser || strings.Contains(has, "i"))
	default:
		return true
	}
	if !ok {
		c.refuse(http.StatusForbidden, "AuthorizationPermissionMismatch")
	}
	return ok
}

// mayWrite says whether the credential may overwrite, not only create.
func (c *call) mayWrite() bool {
	switch {
	case c.token() != "":
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		return c.l.roles[c.token()].allows(blobs + "write")
	case c.query.Get("sig") != "":
		return strings.Contains(c.query.Get("sp"), "w")
	}
	return true
}

// stale answers operations that Azurite does not decide and whose condition on the
// time of the last change does not hold.
func (c *call) stale(op string) bool {
	until, err := http.ParseTime(c.r.Header.Get("If-Unmodified-Since"))
	switch op {
	case "Delete Container", "Lease Container", "Set Container ACL", "Set Blob Immutability Policy":
	default:
		return false
	}
	if err != nil || !until.Before(c.l.opt.Start) { // everything here is changed after the start
		return false
	}
	c.refuse(http.StatusPreconditionFailed, "ConditionNotMet")
	return true
}

// removeContainer deletes a container, unless it has version-level immutability and
// holds anything.
func (c *call) removeContainer() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	filled, immutable := false, l.setting(c.container).immutable
	for key := range l.blobs {
		filled = filled || strings.HasPrefix(key, c.container+"/")
	}
	l.mu.Unlock()
	if immutable && filled {
		c.refuse(http.StatusConflict, "ContainerImmutableStorageWithVersioningEnabled")
		return
	}
	r := c.forward()
	if r.ok() {
		l.mu.Lock()
		for key := range l.blobs {
			if strings.HasPrefix(key, c.container+"/") {
				delete(l.blobs, key)
			}
		}
		l.mu.Unlock()
	}
	c.answer(r)
}

// service is Azurite with its account's key.
func (l *Layer) service() (*service.Client, error) {
	cred, err := service.NewSharedKeyCredential(l.opt.Upstream.Account, l.opt.Upstream.Key)
	if err != nil {
		return nil, err
	}
	return service.NewClientWithSharedKeyCredential(l.opt.Upstream.URL, cred, nil)
}

// everything is a SAS of the whole account, for requests that a role allows.
func (l *Layer) everything() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all != "" {
		return l.all, nil
	}
	cred, err := service.NewSharedKeyCredential(l.opt.Upstream.Account, l.opt.Upstream.Key)
	if err != nil {
		return "", err
	}
	p := sas.AccountPermissions{Read: true, Write: true, Delete: true, DeletePreviousVersion: true, PermanentDelete: true, List: true,
		Add: true, Create: true, Update: true, Process: true, FilterByTags: true, Tag: true, SetImmutabilityPolicy: true}
	q, err := sas.AccountSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		Permissions: p.String(), ResourceTypes: (&sas.AccountResourceTypes{Service: true, Container: true, Object: true}).String(),
	}.SignWithSharedKey(cred)
	if err != nil {
		return "", err
	}
	l.all = q.Encode()
	return l.all, nil
}

// bytes are those of the present blob in Azurite.
func (l *Layer) bytes(ctx context.Context, key string) ([]byte, error) {
	client, err := l.upstream(key)
	if err != nil {
		return nil, err
	}
	resp, err := client.DownloadStream(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
