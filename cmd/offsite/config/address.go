package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Address says where a store is.
type Address struct {
	Scheme  string // dir, s3, gs or azblob
	Path    Path   // dir only
	Account string // azblob only
	Bucket  string // bucket or container
	Prefix  string // without slashes at its ends; may be empty
}

func (*Address) expects() string { return "an address, such as dir:PATH or s3://bucket/prefix" }

const addressHint = "write dir:PATH, s3://bucket/prefix, gs://bucket/prefix or azblob://account/container/prefix"

var (
	bucketPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`)
	accountPattern = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	// A prefix is a part of every key, so it keeps the grammar of keys.
	prefixPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$`)
)

// maxPrefix leaves room for the longest key below it.
const maxPrefix = 100

// UnmarshalText reads an address of any known scheme.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if path, ok := strings.CutPrefix(s, "dir:"); ok {
		var p Path
		if strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") {
			return wrong("an address", s, "write dir: and the path, without //")
		}
		if err := p.UnmarshalText([]byte(path)); err != nil {
			return err
		}
		*a = Address{Scheme: "dir", Path: p}
		return nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		if strings.HasPrefix(s, "/") || strings.HasPrefix(s, `\\`) || strings.HasPrefix(s, ".") || len(s) > 2 && s[1] == ':' {
			return wrong("an address", s, "for a folder write dir: before the path")
		}
		return wrong("an address", s, addressHint)
	}
	if strings.Contains(rest, "@") {
		return &ValueError{"an address holds no user and no key", "put credentials in the store's block, as env:NAME or file:PATH"}
	}
	v := Address{Scheme: scheme}
	switch scheme {
	case "s3", "gs":
		v.Bucket, v.Prefix, _ = strings.Cut(rest, "/")
	case "azblob":
		v.Account, rest, _ = strings.Cut(rest, "/")
		v.Bucket, v.Prefix, _ = strings.Cut(rest, "/")
		if !accountPattern.MatchString(v.Account) {
			return wrong("a storage account", v.Account, "accounts have 3 to 24 lower-case letters and digits; "+addressHint)
		}
	default:
		near := Nearest(scheme, []string{"dir", "s3", "gs", "azblob"})
		if scheme == "gcs" {
			near = "gs"
		}
		if near != "" {
			return &ValueError{fmt.Sprintf("there is no scheme %q", scheme), fmt.Sprintf("did you mean %s? %s", near, addressHint)}
		}
		return &ValueError{fmt.Sprintf("there is no scheme %q", scheme), addressHint}
	}
	v.Prefix = strings.TrimSuffix(v.Prefix, "/")
	if !bucketPattern.MatchString(v.Bucket) {
		return wrong("the name of a bucket", v.Bucket, addressHint)
	}
	if v.Prefix != "" && (!prefixPattern.MatchString(v.Prefix) || len(v.Prefix) > maxPrefix) {
		return wrong("a prefix", v.Prefix, "use lower-case letters, digits, dots and hyphens, with / between the parts")
	}
	*a = v
	return nil
}

// String writes the address as it is read.
func (a Address) String() string {
	var s string
	switch a.Scheme {
	case "":
		return ""
	case "dir":
		return "dir:" + string(a.Path)
	case "azblob":
		s = "azblob://" + a.Account + "/" + a.Bucket
	default:
		s = a.Scheme + "://" + a.Bucket
	}
	if a.Prefix != "" {
		s += "/" + a.Prefix
	}
	return s
}
