package providers

import "context"

// CanaryPrefix is where the only objects stand that anybody ever tries to harm
// on purpose: tiny, worthless, and made for it.
const CanaryPrefix = "r/c/"

// Role is what somebody may do with a store. Each has a credential of its own.
type Role string

const (
	RoleUploader Role = "uploader" // creates, lists, and raises leases where that cannot be abused
	RoleManager  Role = "manager"  // raises leases, reads records only
	RoleRestore  Role = "restore"  // reads everything, changes nothing
	RoleAdmin    Role = "admin"    // sets the bucket up; kept away from the practice
)

// Roles are all of them, in the order in which they are explained.
func Roles() []Role { return []Role{RoleUploader, RoleManager, RoleRestore, RoleAdmin} }

// Document is a least-privilege policy as a service takes it.
type Document struct {
	Name string // a file name, such as "uploader.iam.json"
	Use  string // one sentence: where it goes and which command puts it there
	Text []byte
}

// State says how a setting stands.
type State string

const (
	StateRight  State = "right"
	StateWrong  State = "wrong"
	StateUnseen State = "unseen" // this credential may not look, or the service does not tell
)

// Setting is one thing that a bucket must be so that its leases hold.
type Setting struct {
	Name   string `json:"name"` // such as "versioning" or "removal rule"
	Want   string `json:"want"`
	Have   string `json:"have"`
	State  State  `json:"state"`
	Remedy string `json:"remedy,omitempty"` // what to do unless it is right
}

// Admin is a bucket in the hands of an administrator. Neither call removes an
// object or shortens a lease.
type Admin interface {
	// Audit compares the bucket with what it must be, and changes nothing. What
	// the credential may not see is StateUnseen, not an error.
	Audit(ctx context.Context) ([]Setting, error)
	// Setup makes the bucket if it is missing and makes it what it must be,
	// keeping what others put there, and returns what Audit then says.
	Setup(ctx context.Context) ([]Setting, error)
}

// Attempt is one thing that the upload credential must not be able to do.
type Attempt struct {
	Name    string `json:"name"` // such as "delete the version"
	Refused bool   `json:"refused"`
	Answer  string `json:"answer"`           // the service's code
	Remedy  string `json:"remedy,omitempty"` // which right to take away
	// Accepted says why it need not be refused: the service cannot refuse it
	// without refusing what the uploader is for. Empty: it must be refused.
	Accepted string `json:"accepted,omitempty"`
}

// Attacker tries, with the credential that it was opened with, everything that
// would undo a lease, each on the canary it is given and on nothing else. It
// refuses keys outside CanaryPrefix.
type Attacker interface {
	Attack(ctx context.Context, canary Object) ([]Attempt, error)
}
