package gcstest

import (
	"net/http"
	"net/url"
	"strings"
)

// route names the method of the JSON API. What it does not know has no name.
func route(r *http.Request) *request {
	req := &request{Request: r}
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	if r.Header.Get("X-HTTP-Method-Override") != "" {
		return req
	}
	if rest, ok := strings.CutPrefix(path, "/upload/storage/v1/b/"); ok {
		name, end, _ := strings.Cut(rest, "/")
		if r.Method == http.MethodPost && end == "o" {
			req.upload(unescape(name))
		}
		return req
	}
	if path == "/storage/v1/b" && r.Method == http.MethodPost {
		req.method = "buckets.insert"
		return req
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(path, "/download"), "/storage/v1/b/")
	if !ok {
		req.xml(path)
		return req
	}
	name, rest, _ := strings.Cut(rest, "/")
	req.bucket = unescape(name)
	kind, name, below := strings.Cut(rest, "/")
	switch {
	case kind == "o" && below:
		req.ofObject(name)
	case rest == "o" && r.Method == http.MethodGet && r.URL.Query().Get("versions") != "true":
		req.method = "objects.list"
	case rest == "":
		req.method = map[string]string{http.MethodGet: "buckets.get", http.MethodPatch: "buckets.patch",
			http.MethodPut: "buckets.update", http.MethodDelete: "buckets.delete"}[r.Method]
	case rest == "lockRetentionPolicy" && r.Method == http.MethodPost:
		req.method = "buckets.lockRetentionPolicy"
	case rest == "iam":
		req.method = map[string]string{http.MethodGet: "buckets.getIamPolicy", http.MethodPut: "buckets.setIamPolicy"}[r.Method]
	case rest == "iam/testPermissions" && r.Method == http.MethodGet:
		req.method = "buckets.testIamPermissions"
	case rest == "notificationConfigs" && r.Method == http.MethodPost:
		req.method = "notifications"
	}
	return req
}

// upload is one of three ways to send an object.
func (r *request) upload(bucket string) {
	r.bucket, r.method = bucket, "objects.otherInsert"
	r.name = r.URL.Query().Get("name")
	if r.URL.Query().Get("uploadType") == "multipart" {
		r.method = "objects.insert"
	}
}

// xml is the other API, of which only writing an object is known.
func (r *request) xml(path string) {
	bucket, name, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if ok && r.Method == http.MethodPut && !strings.HasPrefix(path, "/storage/") && !strings.HasPrefix(path, "/upload/") {
		r.method, r.bucket, r.name = "objects.otherInsert", unescape(bucket), unescape(name)
	}
}

// ofObject is a method on one object; rest is what stands behind "/o/". A "/" in
// a name comes escaped. The object is the one that is written, where there are two.
func (r *request) ofObject(rest string) {
	parts := strings.Split(rest, "/")
	r.name = unescape(parts[0])
	switch {
	case len(parts) == 1:
		r.method = map[string]string{http.MethodGet: "objects.get", http.MethodPatch: "objects.patch",
			http.MethodPut: "objects.update", http.MethodDelete: "objects.delete"}[r.Method]
		if r.method == "objects.get" && r.URL.Query().Get("alt") == "media" {
			r.method = "objects.media"
		}
	case len(parts) == 2 && parts[1] == "acl":
		r.method = "objectAccessControls"
	case r.Method != http.MethodPost:
	case len(parts) == 2:
		r.method = map[string]string{"compose": "objects.compose", "restore": "objects.restore"}[parts[1]]
	case len(parts) == 6 && parts[2] == "b" && parts[4] == "o" && unescape(parts[3]) == r.bucket:
		r.method = map[string]string{"rewriteTo": "objects.rewrite", "copyTo": "objects.copy"}[parts[1]]
		r.name = unescape(parts[5])
	case len(parts) == 4 && parts[1] == "moveTo" && parts[2] == "o":
		r.method, r.name = "objects.move", unescape(parts[3])
	}
}

// unescape leaves what cannot be unescaped as it is: no object has such a name.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
