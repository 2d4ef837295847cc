package gcstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxBody is above the largest insert: an object of 64 MiB and its metadata.
const maxBody = 65 << 20

// answer is a whole answer, so that nothing is sent before all rules are kept.
type answer struct {
	status int
	header http.Header
	body   []byte
	stream io.ReadCloser // in place of body, for objects
}

func writeAnswer(w http.ResponseWriter, a answer) {
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Content-Encoding", "X-Goog-Generation",
		"X-Goog-Hash", "X-Goog-Metageneration", "X-Goog-Stored-Content-Encoding", "X-Goog-Stored-Content-Length", "Accept-Ranges"} {
		if v := a.header.Values(name); len(v) > 0 {
			w.Header()[name] = v
		}
	}
	if a.stream == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body) // a client that has left needs no answer
		return
	}
	defer a.stream.Close()
	w.WriteHeader(a.status)
	_, _ = io.Copy(w, a.stream)
}

// refuse is an error answer in the form of the JSON API.
func refuse(status int, reason, message string) answer {
	a := jsonAnswer(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []any{map[string]any{"domain": "global", "reason": reason, "message": message}},
	}})
	a.status = status
	return a
}

func jsonAnswer(v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return answer{status: http.StatusInternalServerError}
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, body: body}
}

func (r *request) read(w http.ResponseWriter) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	r.body = body
	if r.method == "objects.insert" {
		r.meta, r.metaErr = insertMetadata(r)
		if r.name == "" {
			r.name = r.meta.text("name")
		}
	}
	return nil
}

// forward passes a request on to the emulator, without its token.
func (l *Layer) forward(r *request, body []byte) answer {
	target := *l.upstream
	target.Path, target.RawPath, target.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	out, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		return refuse(http.StatusBadGateway, "backendError", err.Error())
	}
	for _, name := range []string{"Content-Type", "Range", "Accept-Encoding"} {
		if v := r.Header.Values(name); len(v) > 0 {
			out.Header[name] = v
		}
	}
	res, err := l.client.Do(out)
	if err != nil {
		return refuse(http.StatusBadGateway, "backendError", "emulator does not answer")
	}
	if r.method == "objects.media" {
		return answer{status: res.StatusCode, header: res.Header, stream: res.Body}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return refuse(http.StatusBadGateway, "backendError", "answer of the emulator cut")
	}
	return answer{status: res.StatusCode, header: res.Header, body: data}
}

// ask makes a request of the layer's own.
func (l *Layer) ask(ctx context.Context, method, path string, query url.Values) answer {
	target := *l.upstream
	target.Path = ""
	out, err := http.NewRequestWithContext(ctx, method, target.String()+path+"?"+query.Encode(), nil)
	if err != nil {
		return refuse(http.StatusBadGateway, "backendError", err.Error())
	}
	route := &request{Request: out}
	out.Body = http.NoBody
	return l.forward(route, nil)
}

func objectPath(bucket, name string) string {
	return "/storage/v1/b/" + url.PathEscape(bucket) + "/o/" + url.PathEscape(name)
}

// fields is a JSON object whose numbers and unknown parts stay as they are.
type fields map[string]json.RawMessage

func (f fields) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

func (f fields) set(name string, v any) {
	if data, err := json.Marshal(v); err == nil {
		f[name] = data
	}
}

func (f fields) number(name string) int64 {
	n, err := strconv.ParseInt(f.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// customTime reads the field of that name: absent, null, or a time.
func (f fields) customTime() (t time.Time, given bool, err error) {
	raw, ok := f["customTime"]
	if !ok || string(raw) == "null" {
		return time.Time{}, false, nil
	}
	if t, err = time.Parse(time.RFC3339, f.text("customTime")); err != nil {
		return time.Time{}, false, errors.New("customTime: not a time")
	}
	return t.UTC(), true, nil
}

// insertMetadata is the first part of a multipart insert.
func insertMetadata(r *request) (fields, error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return nil, errors.New("insert: not multipart")
	}
	parts := multipart.NewReader(bytes.NewReader(r.body), params["boundary"])
	part, err := parts.NextPart()
	if err != nil {
		return nil, errors.New("insert: no metadata")
	}
	meta := fields{}
	if err := json.NewDecoder(part).Decode(&meta); err != nil {
		return nil, errors.New("insert: metadata is no JSON")
	}
	// Both parts and the end must be there: a cut body is no insert.
	if part, err = parts.NextPart(); err != nil {
		return nil, errors.New("insert: no media")
	}
	if _, err := io.Copy(io.Discard, part); err != nil {
		return nil, errors.New("insert: media cut")
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		return nil, errors.New("insert: no end")
	}
	return meta, nil
}
