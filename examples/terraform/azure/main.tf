# A storage account of its own for offsite: version-level immutability, soft
# deletion, the removal rule, one role for each job, and a lock on the account.
#
#   terraform apply -var account=practicebackup -var uploader=OBJECT_ID -var manager=OBJECT_ID -var restore=OBJECT_ID
#
# Afterwards `offsite store check` must find everything right. With
# by_last_access = true leases go by reading instead, and no manager is needed.

terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
    # Immutability by version of one container is not in azurerm.
    azapi = {
      source  = "Azure/azapi"
      version = "~> 2.0"
    }
  }
}

provider "azurerm" {
  features {}
  storage_use_azuread = true
}

variable "account" {
  description = "Name of the storage account: 3 to 24 lower-case letters and digits, unique in the world."
  type        = string
}

variable "group" {
  description = "Resource group that is made for the account."
  type        = string
  default     = "offsite"
}

variable "location" {
  description = "Region in which the data has to lie."
  type        = string
  default     = "germanywestcentral"
}

variable "container" {
  description = "Container of the store."
  type        = string
  default     = "offsite"
}

variable "floor_days" {
  description = "How long every new object is kept until the manager has raised its lease."
  type        = number
  default     = 14
}

variable "by_last_access" {
  description = "Keep what was read within keep_days, instead of immutability raised by a manager."
  type        = bool
  default     = false
}

variable "keep_days" {
  description = "Days of the rule by last access: the keep_days of the store's configuration."
  type        = number
  default     = 120
}

variable "uploader" {
  description = "Object id of the practice PC's identity."
  type        = string
}

variable "manager" {
  description = "Object id of the identity that raises leases, on another machine; empty with by_last_access."
  type        = string
  default     = ""
}

variable "restore" {
  description = "Object id of whoever restores."
  type        = string
}

locals {
  days = var.by_last_access ? var.keep_days : var.floor_days
  # The rights are those that `offsite store policy` prints.
  holders = merge(
    { uploader = var.uploader, restore = var.restore },
    var.by_last_access ? {} : { manager = var.manager },
  )
}

resource "azurerm_resource_group" "offsite" {
  name     = var.group
  location = var.location
}

resource "azurerm_storage_account" "offsite" {
  name                            = var.account
  resource_group_name             = azurerm_resource_group.offsite.name
  location                        = azurerm_resource_group.offsite.location
  account_kind                    = "StorageV2"
  account_tier                    = "Standard"
  account_replication_type        = "LRS"
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = true
  allow_nested_items_to_be_public = false
  # Roles only. Set it to true if the practice PC has to use a SAS.
  shared_access_key_enabled = false

  blob_properties {
    versioning_enabled       = !var.by_last_access
    last_access_time_enabled = var.by_last_access

    delete_retention_policy {
      days = 30
    }
    container_delete_retention_policy {
      days = 30
    }
  }
}

resource "azapi_resource" "container" {
  type      = "Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01"
  parent_id = "${azurerm_storage_account.offsite.id}/blobServices/default"
  name      = var.container
  body = {
    properties = merge(
      { publicAccess = "None" },
      var.by_last_access ? {} : { immutableStorageWithVersioning = { enabled = true } },
    )
  }
}

# The default policy is made unlocked. Locking it, which nobody can undo, is left to
# `offsite store setup`.
resource "azapi_resource" "floor" {
  count     = var.by_last_access ? 0 : 1
  type      = "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01"
  parent_id = azapi_resource.container.id
  name      = "default"
  body = {
    properties = { immutabilityPeriodSinceCreationInDays = var.floor_days }
  }
}

# An account has one policy for all its rules: whatever else uses the account has to
# put its rules here.
resource "azurerm_storage_management_policy" "offsite" {
  storage_account_id = azurerm_storage_account.offsite.id

  rule {
    name    = "offsite${substr(sha256("${var.container}/"), 0, 16)}"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${var.container}/r/"]
    }
    actions {
      base_blob {
        delete_after_days_since_creation_greater_than         = var.by_last_access ? null : local.days
        delete_after_days_since_last_access_time_greater_than = var.by_last_access ? local.days : null
      }
      version {
        delete_after_days_since_creation = local.days
      }
      snapshot {
        delete_after_days_since_creation_greater_than = local.days
      }
    }
  }

  depends_on = [azapi_resource.floor]
}

resource "azurerm_role_definition" "offsite" {
  for_each    = local.holders
  name        = "offsite ${each.key} ${var.account} ${var.container}"
  scope       = azurerm_resource_group.offsite.id
  description = jsondecode(file("${path.module}/../../policies/azure/${each.key}.role.json")).Description

  permissions {
    actions      = []
    data_actions = jsondecode(file("${path.module}/../../policies/azure/${each.key}.role.json")).DataActions
  }
}

resource "azurerm_role_assignment" "offsite" {
  for_each           = local.holders
  scope              = azapi_resource.container.id
  role_definition_id = azurerm_role_definition.offsite[each.key].role_definition_resource_id
  principal_id       = each.value
}

# Nobody deletes the account without taking this away first.
resource "azurerm_management_lock" "offsite" {
  name       = "offsite"
  scope      = azurerm_storage_account.offsite.id
  lock_level = "CanNotDelete"
  notes      = "Holds backups whose leases have not lapsed."
}
