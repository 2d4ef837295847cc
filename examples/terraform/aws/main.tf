# A bucket of its own for offsite, and the roles that use it. What `offsite store
# setup` makes, made by Terraform; `offsite store check` then compares.
#
# The policies are the files of examples/policies/aws, with your names in place of the
# examples': a change there is a change here.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
    }
  }
}

variable "bucket" {
  description = "Name of the bucket, which must be offsite's own."
  type        = string
}

variable "prefix" {
  description = "Folder in the bucket below which the store is; as in the store's address."
  type        = string
  default     = "offsite"
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]*$", var.prefix))
    error_message = "The prefix is one folder's name in small letters."
  }
}

variable "administrators" {
  description = "ARNs of those who may change the bucket's settings. Everybody else is refused, root too."
  type        = list(string)
  validation {
    condition     = length(var.administrators) > 0
    error_message = "Name whoever runs Terraform, or the bucket can be changed by nobody."
  }
}

variable "longest_lease_days" {
  description = "The longest class of the retention policy, and two weeks: seven fiscal years."
  type        = number
  default     = 2576
}

variable "default_retention_days" {
  description = "How long an object is kept that nobody leased."
  type        = number
  default     = 14
}

locals {
  policies = "${path.module}/../../policies/aws"
  # The examples' names are replaced one after the other.
  named = {
    for file in ["uploader.iam.json", "manager.iam.json", "restore.iam.json", "bucket-policy.json"] :
    file => replace(replace(replace(replace(file("${local.policies}/${file}"),
      "practice-backup/offsite/", "${var.bucket}/${var.prefix}/"),
      "practice-backup", var.bucket),
      "\"2576\"", "\"${var.longest_lease_days}\""),
    "\"arn:aws:iam::111122223333:role/offsite-admin\"", join(",", [for arn in var.administrators : jsonencode(arn)]))
  }
}

resource "aws_s3_bucket" "store" {
  bucket              = var.bucket
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "store" {
  bucket = aws_s3_bucket.store.id
  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.default_retention_days
    }
  }
  depends_on = [aws_s3_bucket_versioning.store]
}

# The constant removal rule. Versions under a lease wait until the lease has lapsed.
resource "aws_s3_bucket_lifecycle_configuration" "store" {
  bucket = aws_s3_bucket.store.id
  rule {
    id     = "offsite-removal"
    status = "Enabled"
    filter {
      prefix = "${var.prefix}/r/"
    }
    expiration {
      days = 7
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }
  depends_on = [aws_s3_bucket_versioning.store]
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "store" {
  bucket     = aws_s3_bucket.store.id
  policy     = local.named["bucket-policy.json"]
  depends_on = [aws_s3_bucket_public_access_block.store]
}

# One user for each role. Keys are made by hand, so that no secret is in the state:
# aws iam create-access-key --user-name offsite-uploader
resource "aws_iam_user" "role" {
  for_each = toset(["uploader", "manager", "restore"])
  name     = "offsite-${each.key}"
}

resource "aws_iam_user_policy" "role" {
  for_each = aws_iam_user.role
  name     = each.value.name
  user     = each.value.name
  policy   = local.named["${each.key}.iam.json"]
}
