package host

import (
	"reflect"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

// TestEveryLimitIsMerged takes each limit by itself: what is left out of the
// merge would be held by nobody.
func TestEveryLimitIsMerged(t *testing.T) {
	defaults := defaultLimits()
	if err := defaults.Validate(); err != nil {
		t.Fatal(err)
	}
	of := func(l *abi.Limits, i int) reflect.Value { return reflect.ValueOf(l).Elem().Field(i) }
	for i := range reflect.TypeFor[abi.Limits]().NumField() {
		name := reflect.TypeFor[abi.Limits]().Field(i).Name
		most := of(&defaults, i).Int()
		if most == 0 {
			t.Errorf("%s has no default", name)
		}
		for _, c := range []struct {
			who                  string
			asked, granted, want int64
		}{
			{"nobody", 0, 0, most},
			{"the plugin, for less", most / 2, 0, most / 2},
			{"the plugin, for more", most * 2, 0, most},
			{"the operator, more", 0, most * 2, most * 2},
			{"the operator, less than the plugin asks for", most / 2, most / 4, most / 4},
			{"the operator, more than the plugin asks for", most / 4, most / 2, most / 2},
		} {
			var asked, granted abi.Limits
			of(&asked, i).SetInt(c.asked)
			of(&granted, i).SetInt(c.granted)
			got := mergeLimits(asked, granted, defaults)
			if have := of(&got, i).Int(); have != c.want {
				t.Errorf("%s set by %s: %d, want %d", name, c.who, have, c.want)
			}
			of(&got, i).SetInt(most)
			if got != defaults {
				t.Errorf("%s set by %s changed another limit: %+v", name, c.who, got)
			}
		}
	}
}
