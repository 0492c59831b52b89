//go:build !wasip1

package tool

import "github.com/sallyport-dev/sallyport/sdk"

// Natively the sdk.Host of the context answers.
var importCall sdk.Import
