#!/bin/sh -eu
# Creates blobs that are not there yet, reads and lists. Neither overwrites, deletes, tags, re-tiers, locks nor unlocks.
# Run by somebody who may use the account's key. $1 is the day on which it lapses, such as 2027-11-30.
# To withdraw it: az storage container policy delete, with the same names.
az storage container policy create --account-name practicebackup --container-name offsite --name offsite-uploader --permissions rcl
az storage container generate-sas --account-name practicebackup --name offsite --policy-name offsite-uploader --expiry "$1T00:00Z" --https-only --output tsv
