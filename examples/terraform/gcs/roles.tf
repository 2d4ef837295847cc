# Who may do what. Nobody here can delete an object; the role for emergencies is
# printed by `offsite store policy --for admin` and granted by hand, for as long as
# it takes.

resource "google_project_iam_custom_role" "uploader" {
  role_id     = "offsite_uploader"
  title       = "offsite: store"
  description = "Creates objects and reads them. Writes over nothing, removes nothing."
  permissions = [
    "storage.objects.create",
    "storage.objects.get",
    "storage.objects.list",
  ]
}

resource "google_project_iam_custom_role" "lease" {
  role_id     = "offsite_lease"
  title       = "offsite: raise leases"
  description = "Changes metadata, and so raises leases (customTime). The service lets none be moved earlier."
  permissions = [
    "storage.objects.update",
  ]
}

resource "google_project_iam_custom_role" "restore" {
  role_id     = "offsite_restore"
  title       = "offsite: restore"
  description = "Reads everything, changes nothing."
  permissions = [
    "storage.objects.get",
    "storage.objects.list",
  ]
}

resource "google_service_account" "uploader" {
  account_id   = "offsite-uploader"
  display_name = "offsite on the practice PC"
}

resource "google_service_account" "restore" {
  account_id   = "offsite-restore"
  display_name = "offsite where backups are restored and watched"
}

resource "google_storage_bucket_iam_member" "uploader" {
  bucket = google_storage_bucket.backup.name
  role   = google_project_iam_custom_role.uploader.id
  member = google_service_account.uploader.member

  dynamic "condition" {
    for_each = local.below_root
    content {
      title      = "offsite-uploader"
      expression = condition.value
    }
  }
}

resource "google_storage_bucket_iam_member" "lease" {
  bucket = google_storage_bucket.backup.name
  role   = google_project_iam_custom_role.lease.id
  member = google_service_account.uploader.member

  condition {
    title      = "offsite-lease"
    expression = "resource.name.startsWith(\"${local.objects}${local.removable}\")"
  }
}

resource "google_storage_bucket_iam_member" "restore" {
  bucket = google_storage_bucket.backup.name
  role   = google_project_iam_custom_role.restore.id
  member = google_service_account.restore.member

  dynamic "condition" {
    for_each = local.below_root
    content {
      title      = "offsite-restore"
      expression = condition.value
    }
  }
}

# Keys of these accounts are secrets, and would stand in the state of Terraform. Make
# them outside:
#
#   gcloud iam service-accounts keys create uploader.json --iam-account=...
output "accounts" {
  value = {
    uploader = google_service_account.uploader.email
    restore  = google_service_account.restore.email
  }
}
