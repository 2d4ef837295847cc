package gcsadmin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"offsite/providers"
)

// garbage is what a thief writes. It is never compared with anything.
const garbage = "garbage"

// whyAccepted: a lease is metadata, and whoever may raise it may change other metadata.
const whyAccepted = "cannot be refused to whoever raises leases (storage.objects.update); it shortens nothing, and an administrator can undo it"

// tries are all attempts on one canary, the harmless ones first.
func (a *attacker) tries(obj providers.Object, lease time.Time) []try {
	bucket := url.PathEscape(a.api.wire.Bucket())
	name := a.api.wire.Prefix() + obj.Key
	b, o := "/storage/v1/b/"+bucket, "/storage/v1/b/"+bucket+"/o/"+url.PathEscape(name)
	upload := "/upload/storage/v1/b/" + bucket + "/o"
	const js = "application/json"
	const remove, update, change = "storage.objects.delete", "storage.objects.update", "storage.buckets.update"
	multipart := url.Values{"uploadType": {"multipart"}}
	source := document(map[string]any{"sourceObjects": []any{map[string]string{"name": name}}, "destination": map[string]any{}})
	return []try{
		{name: "change the bucket", method: http.MethodPatch, path: b, contentType: js, body: `{"labels":{"offsite-attack":null}}`, right: takeAway(change)},
		{name: "lease until the year 9999", method: http.MethodPatch, path: o, query: url.Values{"ifMetagenerationMatch": {never}}, contentType: js,
			body: `{"customTime":"9999-12-31T23:59:59Z"}`, right: takeAway(update), accepted: whyAccepted},
		{name: "hold it for ever", method: http.MethodPatch, path: o, query: url.Values{"ifMetagenerationMatch": {never}}, contentType: js,
			body: `{"temporaryHold":true}`, right: takeAway(update), accepted: whyAccepted},
		{name: "move its lease earlier", method: http.MethodPatch, path: o, contentType: js, keeps: true,
			body: document(map[string]string{"customTime": lease.Add(-time.Second).UTC().Format(time.RFC3339)}), right: takeAway(update)},
		{name: "take its lease away", method: http.MethodPatch, path: o, contentType: js, body: `{"customTime":null}`, keeps: true, right: takeAway(update)},
		{name: "replace its metadata by none", method: http.MethodPut, path: o, contentType: js, body: `{}`, keeps: true, right: takeAway(update)},
		{name: "lock it", method: http.MethodPatch, path: o, contentType: js, right: takeAway("storage.objects.setRetention"),
			body: document(map[string]any{"retention": map[string]string{"mode": "Unlocked", "retainUntilTime": lease.UTC().Format(time.RFC3339)}})},
		{name: "take its lock away", method: http.MethodPatch, path: o, query: url.Values{"overrideUnlockedRetention": {"true"}}, contentType: js,
			body: `{"retention":null}`, keeps: true, right: takeAway("storage.objects.overrideUnlockedRetention")},
		{name: "write over it", method: http.MethodPost, path: upload, query: multipart, contentType: related, body: parts(name), right: takeAway(remove)},
		{name: "write over it, naming its generation", method: http.MethodPost, path: upload, contentType: related, body: parts(name),
			query: url.Values{"uploadType": {"multipart"}, "ifGenerationMatch": {string(obj.Version)}}, right: takeAway(remove)},
		{name: "write over it by a plain upload", method: http.MethodPost, path: upload, contentType: "text/plain", body: garbage,
			query: url.Values{"uploadType": {"media"}, "name": {name}}, right: takeAway(remove)},
		{name: "write over it by the other API", method: http.MethodPut, path: "/" + bucket + "/" + name, contentType: "text/plain", body: garbage, right: takeAway(remove)},
		{name: "rewrite it without its lease", method: http.MethodPost, path: o + "/rewriteTo/b/" + bucket + "/o/" + url.PathEscape(name), contentType: js, body: `{}`, right: takeAway(remove)},
		{name: "copy it over itself", method: http.MethodPost, path: o + "/copyTo/b/" + bucket + "/o/" + url.PathEscape(name), contentType: js, body: `{}`, right: takeAway(remove)},
		{name: "compose over it", method: http.MethodPost, path: o + "/compose", contentType: js, body: source, right: takeAway(remove)},
		{name: "move it to another name", method: http.MethodPost, path: o + "/moveTo/o/" + url.PathEscape(name+"-moved"), right: takeAway("storage.objects.move")},
		{name: "delete its generation", method: http.MethodDelete, path: o, query: url.Values{"generation": {string(obj.Version)}}, right: takeAway(remove)},
		{name: "delete it", method: http.MethodDelete, path: o, right: takeAway(remove)},
	}
}

const related = "multipart/related; boundary=offsite"

// parts is an upload in one request, without a lease.
func parts(name string) string {
	return "--offsite\r\nContent-Type: application/json\r\n\r\n" + document(map[string]string{"name": name}) +
		"\r\n--offsite\r\nContent-Type: text/plain\r\n\r\n" + garbage + "\r\n--offsite--\r\n"
}

// document is JSON of things that always have one.
func document(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("gcsadmin: " + err.Error())
	}
	return string(text)
}
