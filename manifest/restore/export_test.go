package restore

// CheckName is tested for systems other than the one that the tests run on.
var CheckName = checkName
