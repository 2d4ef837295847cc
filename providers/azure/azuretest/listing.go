package azuretest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// listed is a page of a listing as Azurite gives it.
type listed struct {
	Blobs struct {
		Blob []struct {
			Name       string
			Properties struct {
				Inner string `xml:",innerxml"`
			}
		}
	}
	NextMarker string
}

var (
	modified = regexp.MustCompile(`<Last-Modified>[^<]*</Last-Modified>`)
	creation = regexp.MustCompile(`<Creation-Time>[^<]*</Creation-Time>`)
)

// list amends a page of Azurite's listing: times, policies and, if asked for, older
// versions, which stand before the current one of the same name.
func (c *call) list() {
	c.l.write.RLock()
	defer c.l.write.RUnlock()
	r := c.forward()
	if !r.ok() {
		c.answer(r)
		return
	}
	var page listed
	if err := xml.Unmarshal(r.body, &page); err != nil {
		c.answer(c.broken(err))
		return
	}
	include := c.query["include"]
	if len(include) == 1 {
		include = strings.Split(include[0], ",")
	}
	c.l.mu.Lock()
	versions := slices.Contains(include, "versions") && c.l.versions
	c.l.mu.Unlock()
	policies := slices.Contains(include, "immutabilitypolicy")

	r.body = c.amend(page, versions, policies)
	c.answer(r)
}

func (c *call) amend(page listed, versions, policies bool) []byte {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	var out bytes.Buffer
	out.WriteString(`<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>`)
	last := l.pages[c.query.Get("marker")]
	for _, item := range page.Blobs.Blob {
		if versions {
			c.older(&out, last, item.Name, policies)
		}
		inner := item.Properties.Inner
		if s := l.blobs[c.container+"/"+item.Name]; s != nil && s.current != nil {
			c.item(&out, item.Name, s.current, true, versions, policies, inner)
		} else {
			c.item(&out, item.Name, &version{}, true, false, false, inner)
		}
		last = item.Name
	}
	if page.NextMarker == "" && versions {
		c.older(&out, last, "\xff", policies)
	} else if page.NextMarker != "" {
		l.pages[page.NextMarker] = last
	}
	fmt.Fprintf(&out, `</Blobs><NextMarker>%s</NextMarker></EnumerationResults>`, html.EscapeString(page.NextMarker))
	return out.Bytes()
}

// older writes the older versions of the names behind from, up to and including to.
func (c *call) older(out *bytes.Buffer, from, to string, policies bool) {
	var names []string
	for key := range c.l.blobs {
		name, ok := strings.CutPrefix(key, c.container+"/")
		if ok && name > from && name <= to && strings.HasPrefix(name, c.query.Get("prefix")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range c.l.blobs[c.container+"/"+name].previous {
			inner := fmt.Sprintf("<Last-Modified></Last-Modified><Etag>%s</Etag><Content-Length>%d</Content-Length><Content-MD5>%s</Content-MD5><BlobType>BlockBlob</BlobType>",
				html.EscapeString(strings.Trim(v.header.Get("Etag"), `"`)), len(v.body), v.header.Get("Content-Md5"))
			c.item(out, name, v, false, true, policies, inner)
		}
	}
}

// item writes one blob of a listing.
func (c *call) item(out *bytes.Buffer, name string, v *version, current, versions, policies bool, inner string) {
	fmt.Fprintf(out, "<Blob><Name>%s</Name>", html.EscapeString(name))
	if versions && v.id != "" {
		fmt.Fprintf(out, "<VersionId>%s</VersionId>", v.id)
		if current {
			out.WriteString("<IsCurrentVersion>true</IsCurrentVersion>")
		}
	}
	if !v.created.IsZero() {
		at := v.created.UTC().Format(http.TimeFormat)
		inner = modified.ReplaceAllString(inner, "<Last-Modified>"+at+"</Last-Modified>")
		inner = creation.ReplaceAllString(inner, "<Creation-Time>"+at+"</Creation-Time>")
	}
	out.WriteString("<Properties>" + inner)
	if policies && !v.policy.until.IsZero() {
		fmt.Fprintf(out, "<ImmutabilityPolicyUntilDate>%s</ImmutabilityPolicyUntilDate><ImmutabilityPolicyMode>%s</ImmutabilityPolicyMode>",
			v.policy.until.UTC().Format(http.TimeFormat), v.policy.mode())
	}
	out.WriteString("</Properties></Blob>")
}
