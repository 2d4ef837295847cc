# A bucket for offsite in Google Cloud Storage, as `offsite store setup` makes it,
# with the roles that `offsite store policy` prints. Afterwards `offsite store check`
# says whether everything is as it must be.
#
#   terraform init
#   terraform apply -var project=practice-project -var bucket=practice-backup -var location=EUROPE-WEST3
#
# Whoever can run this can undo it: keep its state and its credentials away from the
# practice.

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}

variable "project" {
  type        = string
  description = "The project that pays for the bucket."
}

variable "bucket" {
  type        = string
  description = "The bucket's name. Use it for nothing else."
}

variable "location" {
  type        = string
  description = "Where the bucket is, such as EUROPE-WEST3. It can not be moved later."
}

variable "prefix" {
  type        = string
  default     = ""
  description = "The store's prefix in the bucket, without a slash at the end; empty for none."
}

variable "floor_days" {
  type        = number
  default     = 14
  description = "For so many days nobody at all can remove an object."
}

variable "lock" {
  type        = bool
  default     = false
  description = "Lock the retention period. This can never be undone."
}

locals {
  root      = var.prefix == "" ? "" : "${var.prefix}/"
  removable = "${local.root}r/"
  objects   = "projects/_/buckets/${var.bucket}/objects/"
  below_root = var.prefix == "" ? [] : [join(" || ", [
    "resource.name.startsWith(\"${local.objects}${local.root}\")",
    "api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"${local.root}\")",
  ])]
}

provider "google" {
  project = var.project
}

resource "google_storage_bucket" "backup" {
  name                        = var.bucket
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  default_event_based_hold    = false
  force_destroy               = false

  versioning {
    enabled = false
  }

  retention_policy {
    retention_period = var.floor_days * 86400
    is_locked        = var.lock
  }

  soft_delete_policy {
    retention_duration_seconds = 7 * 86400
  }

  # The removal rule: a day after customTime, which is the lease. Header and keys
  # stand outside its prefix.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_custom_time = 1
      matches_prefix         = [local.removable]
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 3
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}
