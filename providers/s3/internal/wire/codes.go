package wire

import "offsite/providers"

// codes gives every documented error code of the service its kind. A code that
// leaves the outcome open (InternalError) is not in it: it is in doubt for a
// write and busy for a read, as is every unknown one.
var codes = func() map[string]error {
	m := map[string]error{}
	for _, group := range []struct {
		kind  error
		codes []string
	}{
		{providers.ErrNotExist, []string{"NoSuchKey", "NoSuchVersion", "NotFound", "NoSuchObjectLockConfiguration",
			"ObjectLockConfigurationNotFoundError", "NoSuchLifecycleConfiguration", "NoSuchBucketPolicy", "NoSuchUpload"}},
		// The bucket is the store: without it nothing is known about any object.
		{providers.ErrUnreachable, []string{"NoSuchBucket", "NoSuchAccessPoint", "EndpointNotFound"}},
		{providers.ErrConflict, []string{"PreconditionFailed", "BucketAlreadyExists", "BucketAlreadyOwnedByYou",
			"BucketNotEmpty", "ClientTokenConflict", "IdempotencyException"}},
		// Refused or damaged on the way, and surely not applied.
		{providers.ErrBusy, []string{"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Busy",
			"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
			"RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests", "LimitExceededException",
			"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "IncompleteBody", "BadDigest",
			"XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "TemporaryRedirect", "Redirect",
			"RequestTimeTooSkewed", "KMS.ThrottlingException", "XMinioServerNotInitialized"}},
		// A person acts: credentials, rights, account, region, keys of the bucket.
		{providers.ErrDenied, []string{"AccessDenied", "AccessDeniedException", "AccountProblem", "AllAccessDisabled",
			"AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "CredentialsNotSupported",
			"CrossLocationLoggingProhibited", "ExpiredToken", "IllegalLocationConstraintException",
			"IncorrectEndpoint", "InvalidAccessKeyId", "InvalidPayer", "InvalidRegion", "InvalidSecurity",
			"InvalidSignature", "InvalidToken", "KMS.DisabledException", "KMS.InvalidKeyUsageException",
			"KMS.KMSInvalidStateException", "KMS.NotFoundException", "MethodNotAllowed", "MissingAuthenticationToken",
			"NotSignedUp", "PermanentRedirect", "SignatureDoesNotMatch", "TokenCodeInvalidError",
			"TokenRefreshRequired", "UnauthorizedAccess", "UnauthorizedAccessError", "UnexpectedIPError",
			"UnsupportedSignature"}},
		{providers.ErrHeld, []string{"ObjectLocked"}},
		{providers.ErrCold, []string{"InvalidObjectState", "ObjectNotInActiveTierError", "RestoreAlreadyInProgress"}},
		{providers.ErrCorrupt, []string{"XMinioObjectTampered"}},
		{providers.ErrFull, []string{"QuotaExceeded", "QuotaExceededException", "XMinioAdminBucketQuotaExceeded",
			"XMinioStorageFull", "InsufficientStorage", "InsufficientCapacity", "TooManyBuckets"}},
		{providers.ErrRange, []string{"InvalidRange"}},
		// The request is wrong in itself; repeating it changes nothing.
		{providers.ErrInvalid, []string{"AccessControlListNotSupported", "AmbiguousGrantByEmailAddress",
			"EntityTooLarge", "EntityTooSmall", "IllegalVersioningConfigurationException", "IncorrectNumberOfFilesInPostRequest", "InlineDataTooLarge", "InvalidAddressingHeader", "InvalidArgument",
			"InvalidBucketName", "InvalidBucketState", "InvalidDigest", "InvalidEncryptionAlgorithmError",
			"InvalidHostHeader", "InvalidHttpMethod", "InvalidLocationConstraint", "InvalidPart", "InvalidPartOrder",
			"InvalidPolicyDocument", "InvalidRequest", "InvalidRetentionPeriod", "InvalidSOAPRequest",
			"InvalidStorageClass", "InvalidTag", "InvalidTargetBucketForLogging", "InvalidURI", "InvalidWriteOffset",
			"KeyTooLongError", "MalformedACLError", "MalformedPOSTRequest", "MalformedXML", "MaxMessageLengthExceeded",
			"MaxPostPreDataLengthExceededError", "MetadataTooLarge", "MissingAttachment", "MissingContentLength",
			"MissingRequestBodyError", "MissingSecurityElement", "MissingSecurityHeader", "NoLoggingStatusForKey",
			"NotImplemented", "ObjectAlreadyInActiveTierError", "RequestHeaderSectionTooLarge",
			"RequestIsNotMultiPartContent", "RequestTorrentOfBucketError", "UnexpectedContent", "UnsupportedArgument",
			"UnresolvableGrantByEmailAddress", "UserKeyMustBeSpecified", "EncryptionTypeMismatch"}},
	} {
		for _, code := range group.codes {
			m[code] = group.kind
		}
	}
	return m
}()
