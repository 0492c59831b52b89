package policy_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

func TestAGrantCoversWhatItMadeEffectiveAndNoneThatTakesSomethingAway(t *testing.T) {
	for scope, r := range rows {
		effective := policy.Effective(r.allows, r.allows, nil)
		if !policy.Covers(r.allows, effective) {
			t.Errorf("%s: the grant doesn't cover what it made effective", scope)
		}
		if policy.Covers(r.denies, effective) {
			t.Errorf("%s: a lesser grant covers it", scope)
		}
		if policy.Covers(abi.Capabilities{}, effective) {
			t.Errorf("%s: no grant covers it", scope)
		}
		if !policy.Covers(r.allows, policy.Effective(r.denies, r.allows, nil)) {
			t.Errorf("%s: the grant doesn't cover what a manifest asks less of", scope)
		}
	}
	files := func(output, store abi.Access) abi.Capabilities {
		return abi.Capabilities{Files: &abi.FilesScope{Output: output, Store: store}}
	}
	wide, narrow := files(abi.AccessWrite, abi.AccessAppend), files(abi.AccessWrite, abi.AccessRead)
	if !policy.Covers(wide, narrow) || policy.Covers(narrow, wide) {
		t.Error("zones are compared wrongly")
	}
	if !policy.Covers(abi.Capabilities{}, abi.Capabilities{}) {
		t.Error("nothing doesn't cover nothing")
	}
}
