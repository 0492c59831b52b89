//go:build !wasip1

package http

import "github.com/sallyport-dev/sallyport/sdk"

// Natively the sdk.Host of the context answers.
var importFetch, importRead, importClose sdk.Import
