//go:build !wasip1

package kernel

import "github.com/sallyport-dev/sallyport/sdk"

// Natively the sdk.Host of the context answers.
var importExecute, importInterrupt, importReset, importStatus sdk.Import
