package azure

import "offsite/providers"

// codes is every error code that the service documents for Blob Storage, or for all
// of its services; CODES.md says the same in words.
var codes = map[string]kinds{
	// What the caller must know.
	"BlobNotFound":              {providers.ErrNotExist, providers.ErrInDoubt, providers.ErrConflict, providers.ErrNotExist},
	"ResourceNotFound":          {providers.ErrNotExist, providers.ErrUnreachable, providers.ErrConflict, providers.ErrNotExist},
	"BlobAlreadyExists":         taken,
	"ResourceAlreadyExists":     taken,
	"BlobOverwritten":           {providers.ErrBusy, providers.ErrExist, providers.ErrConflict, providers.ErrConflict},
	"ConditionNotMet":           condition,
	"TargetConditionNotMet":     condition,
	"UnauthorizedBlobOverwrite": {providers.ErrDenied, providers.ErrExist, providers.ErrDenied, providers.ErrDenied},
	"BlobImmutableDueToPolicy":  {providers.ErrHeld, providers.ErrExist, providers.ErrHeld, providers.ErrHeld},
	"BlobArchived":              {read: providers.ErrCold},
	"BlobBeingRehydrated":       {read: providers.ErrCold},
	"InvalidRange":              {providers.ErrRange, providers.ErrInvalid, providers.ErrInvalid, providers.ErrInvalid},

	// The store as a whole.
	"ContainerNotFound":     unreachable,
	"ContainerBeingDeleted": unreachable,
	"ContainerDisabled":     unreachable,
	"AccountBeingCreated":   unreachable,

	// Briefly unable. A request that timed out, or failed within, may have been applied.
	"ServerBusy":                    busy,
	"SystemInUse":                   busy,
	"SnapshotOperationRateExceeded": busy,
	"TooManyRequests":               busy,
	"InternalError":                 doubtful,
	"OperationTimedOut":             doubtful,

	// Bytes that changed on the way: refused, nothing stored.
	"Md5Mismatch":                damagedOnce,
	"Crc64Mismatch":              damagedOnce,
	"IncompleteBody":             damagedOnce,
	"MissingContentLengthHeader": invalid,

	// A person acts.
	"AuthenticationFailed":                   denied,
	"AuthorizationFailure":                   denied,
	"AuthorizationPermissionMismatch":        denied,
	"AuthorizationProtocolMismatch":          denied,
	"AuthorizationResourceTypeMismatch":      denied,
	"AuthorizationServiceMismatch":           denied,
	"AuthorizationSourceIPMismatch":          denied,
	"InsufficientAccountPermissions":         denied,
	"InvalidAuthenticationInfo":              denied,
	"KeyBasedAuthenticationNotPermitted":     denied,
	"NoAuthenticationInformation":            denied,
	"PublicAccessNotPermitted":               denied,
	"AccountIsDisabled":                      denied,
	"AccountRequiresHttps":                   denied,
	"BlobUsesCustomerSpecifiedEncryption":    denied,
	"ImmutabilityPolicyDeleteOnLockedPolicy": {read: providers.ErrHeld},
	// Somebody took a lease in Azure's sense: an exclusive lock of a blob.
	"LeaseIdMissing":                        denied,
	"LeaseIdMismatchWithBlobOperation":      denied,
	"LeaseIdMismatchWithContainerOperation": denied,
	"LeaseLost":                             denied,
	"LeaseNotPresentWithBlobOperation":      denied,
	"LeaseNotPresentWithContainerOperation": denied,
}
