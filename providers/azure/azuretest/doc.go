// Package azuretest is the Azure of tests: Azurite, which is a real server made by
// others, and before it a Layer that enforces what Azurite does not.
package azuretest
