package azure

import (
	"strings"

	"offsite/providers"
)

// request is what an error code is an answer to.
type request int

const (
	read    request = iota // Get Blob, its properties, List Blobs
	create                 // Put Blob if the key is absent
	replace                // Put Blob if the ETag is the one named
	raise                  // Set Blob Immutability Policy
)

func (r request) writes() bool { return r != read }

// unknown is the kind of what nobody has written down: a write may have been
// applied, a read may succeed later.
func (r request) unknown() error {
	if r.writes() {
		return providers.ErrInDoubt
	}
	return providers.ErrBusy
}

// kinds are the kinds of one code, by request. Codes with the same kind for every
// request have it in read and nothing else.
type kinds struct{ read, create, replace, raise error }

func (k kinds) of(what request) error {
	kind := [...]error{read: k.read, create: k.create, replace: k.replace, raise: k.raise}[what]
	if kind == nil {
		kind = k.read
	}
	return kind
}

// kindOf is the kind of an answer by its error code or, if that is unknown, its status.
func kindOf(code string, status int, what request) error {
	if k, ok := codes[code]; ok {
		return k.of(what)
	}
	if k, ok := statuses[status]; ok {
		return k.of(what)
	}
	return what.unknown()
}

// codes is every error code that the service documents, for Blob Storage and for all
// of its services, and some that it gives without saying so.
var codes = func() map[string]kinds {
	in, held := providers.ErrInvalid, providers.ErrHeld
	m := map[string]kinds{
		// A create needs nothing that could be absent but the container.
		"BlobNotFound":     {providers.ErrNotExist, providers.ErrInDoubt, providers.ErrConflict, providers.ErrNotExist},
		"ResourceNotFound": {providers.ErrNotExist, providers.ErrUnreachable, providers.ErrConflict, providers.ErrNotExist},

		"BlobAlreadyExists":     {in, providers.ErrExist, providers.ErrConflict, in},
		"ResourceAlreadyExists": {in, providers.ErrExist, providers.ErrConflict, in},
		"BlobOverwritten":       {in, providers.ErrExist, providers.ErrConflict, providers.ErrConflict},
		"ConditionNotMet":       condition,
		"TargetConditionNotMet": condition,
		"SourceConditionNotMet": condition,

		// The credential may create and the key is taken.
		"UnauthorizedBlobOverwrite": {providers.ErrDenied, providers.ErrExist, providers.ErrDenied, providers.ErrDenied},
		// Something locked is there already; Store compares it.
		"BlobImmutableDueToPolicy":    {held, providers.ErrExist, held, held},
		"BlobImmutableDueToLegalHold": {held, providers.ErrExist, held, held},

		"InvalidRange": {providers.ErrRange, in, in, in},

		// The service gave up, or failed within: a write may have been applied.
		"InternalError":     doubtful,
		"OperationTimedOut": doubtful,
	}
	for _, group := range groups {
		for code := range strings.FieldsSeq(group.codes) {
			m[code] = kinds{read: group.kind}
		}
	}
	return m
}()

var (
	condition = kinds{providers.ErrNotExist, providers.ErrExist, providers.ErrConflict, providers.ErrConflict}
	doubtful  = kinds{providers.ErrBusy, providers.ErrInDoubt, providers.ErrInDoubt, providers.ErrInDoubt}
)

// groups are the codes that mean the same to every request.
var groups = []struct {
	kind  error
	codes string
}{
	// The container is the store: without it nothing is known about any object.
	{providers.ErrUnreachable, `AccountBeingCreated ContainerBeingDeleted ContainerDisabled ContainerNotFound`},

	// Throttled, or changed on the way; refused, and surely not applied.
	{providers.ErrBusy, `Crc64Mismatch IncompleteBody Md5Mismatch ServerBusy SnapshotOperationRateExceeded
		SystemInUse TooManyRequests`},

	// A person acts: credential, rights, network rules, keys of the account.
	{providers.ErrDenied, `AccountIsDisabled AccountRequiresHttps AuthenticationFailed AuthorizationFailure
		AuthorizationPermissionMismatch AuthorizationProtocolMismatch AuthorizationResourceTypeMismatch
		AuthorizationServiceMismatch AuthorizationSourceIPMismatch BlobUsesCustomerSpecifiedEncryption
		InsufficientAccountPermissions InvalidAuthenticationInfo KeyBasedAuthenticationNotPermitted
		KeyVaultAccessTokenCannotBeAcquired KeyVaultEncryptionKeyNotFound KeyVaultVaultNotFound
		NoAuthenticationInformation PublicAccessNotPermitted`},
	// The same for leases in Azure's sense: somebody holds the blob exclusively.
	{providers.ErrDenied, `InfiniteLeaseDurationRequired LeaseAlreadyBroken LeaseAlreadyPresent
		LeaseIdMismatchWithBlobOperation LeaseIdMismatchWithContainerOperation LeaseIdMismatchWithLeaseOperation
		LeaseIdMissing LeaseIsBreakingAndCannotBeAcquired LeaseIsBreakingAndCannotBeChanged
		LeaseIsBrokenAndCannotBeRenewed LeaseLost LeaseNotPresentWithBlobOperation
		LeaseNotPresentWithContainerOperation LeaseNotPresentWithLeaseOperation`},

	{providers.ErrHeld, `AccountProtectedFromDeletion ContainerHasLegalHold ContainerImmutabilityPolicyLocked
		ContainerProtectedFromDeletion ImmutabilityPolicyDeleteOnLockedPolicy`},
	{providers.ErrCold, `BlobArchived BlobBeingRehydrated`},

	// The request is wrong in itself, or answers what is never asked for.
	{providers.ErrInvalid, `BothCrc64AndMd5HeaderPresent ConditionHeadersNotSupported EmptyMetadataKey
		InvalidHeaderValue InvalidHttpVerb InvalidInput InvalidMd5 InvalidMetadata InvalidQueryParameterValue
		InvalidRequestUrl InvalidResourceName InvalidUri InvalidXmlDocument InvalidXmlNodeValue MetadataTooLarge
		MissingContentLengthHeader MissingRequiredHeader MissingRequiredQueryParameter MissingRequiredXmlNode
		MultipleConditionHeadersNotSupported OutOfRangeInput OutOfRangeQueryParameterValue RequestBodyTooLarge
		RequestUrlFailedToParse ResourceTypeMismatch UnsupportedHeader UnsupportedHttpVerb
		UnsupportedQueryParameter UnsupportedXmlNode`},
	{providers.ErrInvalid, `AccountAlreadyExists AppendPositionConditionNotMet
		BlobAccessTierNotSupportedForAccountType BlobNotArchived BlobOperationNotSupported
		BlobTierInadequateForContentLength BlockCountExceedsLimit BlockListTooLong CannotChangeToLowerTier
		CannotVerifyCopySource ContainerAlreadyExists ContentLengthLargerThanTierLimit
		CopyAcrossAccountsNotSupported CopyIdMismatch FeatureVersionMismatch IncrementalCopyBlobMismatch
		IncrementalCopyOfEarlierSnapshotNotAllowed IncrementalCopyOfEarlierVersionSnapshotNotAllowed
		IncrementalCopyOfEralierVersionSnapshotNotAllowed IncrementalCopySourceMustBeSnapshot InvalidBlobOrBlock
		InvalidBlobTier InvalidBlobType InvalidBlockId InvalidBlockList InvalidOperation InvalidPageRange
		InvalidSourceBlobType InvalidSourceBlobUrl InvalidVersionForPageBlobOperation
		MaxBlobSizeConditionNotMet NoPendingCopyOperation OperationNotAllowedOnIncrementalCopyBlob
		OperationNotAllowedOnRootBlob PendingCopyOperation PreviousSnapshotCannotBeNewer
		PreviousSnapshotNotFound PreviousSnapshotOperationNotSupported SequenceNumberConditionNotMet
		SequenceNumberIncrementTooLarge SnapshotCountExceeded SnapshotsPresent`},
}

// statuses serve answers without a known code, such as those of proxies.
var statuses = map[int]kinds{
	401: {read: providers.ErrDenied},
	403: {read: providers.ErrDenied},
	407: {read: providers.ErrUnreachable}, // a proxy asks for a password
	412: condition,
	413: {read: providers.ErrInvalid},
	416: {providers.ErrRange, providers.ErrInvalid, providers.ErrInvalid, providers.ErrInvalid},
	429: {read: providers.ErrBusy},
	507: {read: providers.ErrFull},
}
