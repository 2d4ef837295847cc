package s3admin

import (
	"fmt"
	"strings"

	"offsite/providers"
)

// application is a key of Backblaze B2. Keys there have capabilities and no
// conditions: nothing limits the length of a lease but the service's 3,000 days, and
// who may write may hide. Readers pin versions, so hiding harms nobody.
type application struct {
	Name         string   `json:"keyName"`
	Bucket       string   `json:"bucketName"`
	Prefix       string   `json:"namePrefix,omitempty"`
	Capabilities []string `json:"capabilities"`
}

func (c PolicyConfig) capabilities(role providers.Role) ([]providers.Document, error) {
	key := application{Name: "offsite-" + string(role), Bucket: c.Bucket, Prefix: below(c.Prefix)}
	switch role {
	case providers.RoleUploader:
		key.Capabilities = []string{"listBuckets", "listFiles", "readFiles", "writeFiles", "readFileRetentions", "readBucketRetentions"}
		if !c.Split {
			key.Capabilities = append(key.Capabilities, "writeFileRetentions")
		}
	case providers.RoleManager:
		key.Capabilities = []string{"listBuckets", "listFiles", "readFiles", "readFileRetentions", "writeFileRetentions"}
	case providers.RoleRestore:
		key.Capabilities = []string{"listBuckets", "listFiles", "readFiles", "readFileRetentions"}
	default:
		key.Prefix = "" // settings are the bucket's
		key.Capabilities = []string{"listAllBucketNames", "listBuckets", "readBuckets", "writeBuckets", "readBucketRetentions", "writeBucketRetentions",
			"listFiles", "readFiles", "writeFiles", "readFileRetentions"}
	}
	prefix := ""
	if key.Prefix != "" {
		prefix = " --name-prefix " + key.Prefix
	}
	out := []providers.Document{{Name: string(role) + ".b2.json",
		Use:  fmt.Sprintf("An application key: b2 key create --bucket %s%s %s %s", key.Bucket, prefix, key.Name, strings.Join(key.Capabilities, ",")),
		Text: render(key)}}
	if role == providers.RoleAdmin {
		out = append(out, c.settingsDocuments()...)
	}
	return out, nil
}
