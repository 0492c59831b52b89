//go:build !wasip1

package main

import "github.com/sallyport-dev/sallyport/sdk"

// Natively the sdk.Host of the context answers.
var imports map[string]sdk.Import
