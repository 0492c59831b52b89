package policy

import (
	"reflect"

	"github.com/sallyport-dev/sallyport/abi"
)

// Covers says whether granted allows all of effective, which Effective
// returned. It may say no where it does, when several rules or secrets over
// HTTP overlap; it never says yes where it doesn't.
func Covers(granted, effective abi.Capabilities) bool {
	return reflect.DeepEqual(Effective(effective, granted, nil), effective)
}
