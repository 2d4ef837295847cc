#!/bin/sh -eu
# Reads and lists. Changes nothing.
# Run by somebody who may use the account's key. $1 is the day on which it lapses, such as 2027-11-30.
# To withdraw it: az storage container policy delete, with the same names.
az storage container policy create --account-name practicebackup --container-name offsite --name offsite-restore --permissions rl
az storage container generate-sas --account-name practicebackup --name offsite --policy-name offsite-restore --expiry "$1T00:00Z" --https-only --output tsv
