#!/bin/sh -eu
# Reads, and sets immutability policies: it can lock a blob for up to 400 years, so it belongs on another machine than the uploader's.
# Run by somebody who may use the account's key. $1 is the day on which it lapses, such as 2027-11-30.
# To withdraw it: az storage container policy delete, with the same names.
az storage container policy create --account-name practicebackup --container-name offsite --name offsite-manager --permissions rli
az storage container generate-sas --account-name practicebackup --name offsite --policy-name offsite-manager --expiry "$1T00:00Z" --https-only --output tsv
