// Package azuretest is the Azure of tests: Azurite, a real server made by others,
// and before it a Layer that enforces what Azurite does not know: versions,
// version-level immutability, last-access tracking, lifecycle rules, and roles that
// may create but not overwrite.
//
// Every rule of the Layer stands in RULES.md beside the provider's statement that it
// stands for. Where the provider says nothing the Layer takes the side that is harder
// for the program, or offers both; none of that is proof of what the cloud does.
//
// It refuses to guess: an operation that it does not model is 501.
package azuretest
