package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

func newTestQueue(places, bound int) *queue {
	q := newQueue("plugin x", true)
	q.resize(places, bound)
	return q
}

// in enters a queue that must let in at once.
func in(t *testing.T, q *queue, key string) func() {
	t.Helper()
	leave, err := q.try(key)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func counts(q *queue) [2]int {
	running, waiting := q.counts()
	return [2]int{running, waiting}
}

func TestCallsAreLetInInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1, 10)
		leave := in(t, q, "")
		var (
			mu    sync.Mutex
			order []int
			wg    sync.WaitGroup
		)
		for i := range 10 {
			wg.Go(func() {
				leave, err := q.enter(t.Context(), "", time.Now(), time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				leave()
			})
			synctest.Wait()
		}
		if got := counts(q); got != [2]int{1, 10} {
			t.Errorf("%v are in and wait", got)
		}
		leave()
		wg.Wait()
		if !slices.IsSorted(order) || len(order) != 10 {
			t.Errorf("the order was %v", order)
		}
		if got := counts(q); got != [2]int{} {
			t.Errorf("%v are left", got)
		}
	})
}

func TestCallsOfOneKeyFollowOneAnotherAndHoldUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(2, 10)
		leave := in(t, q, "a")
		second := make(chan func(), 1)
		go func() {
			leave, err := q.enter(t.Context(), "a", time.Now(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			second <- leave
		}()
		synctest.Wait()
		in(t, q, "b")() // overtakes the one that waits
		if got := counts(q); got != [2]int{1, 1} {
			t.Errorf("%v are in and wait", got)
		}
		if _, err := q.try("a"); !strings.Contains(err.Error(), "of this session") || abi.AsError(err).Limit != "" {
			t.Errorf("a call of a session that is in another: %v", err)
		}
		leave()
		(<-second)()
	})
}

func TestAFullQueueSaysWhenToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(2, 1)
		for range 100 { // what calls take lately
			leave := in(t, q, "")
			time.Sleep(30 * time.Second)
			leave()
		}
		first, second := in(t, q, ""), in(t, q, "")
		left := make(chan struct{})
		go func() {
			defer close(left)
			leave, err := q.enter(t.Context(), "", time.Now(), time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			leave()
		}()
		synctest.Wait()
		_, err := q.enter(t.Context(), "", time.Now(), time.Hour)
		e := abi.AsError(err)
		if e == nil || e.Code != abi.CodeResourceExhausted || !e.Retryable || e.Limit != "queue" {
			t.Fatalf("got %+v", e)
		}
		// 30 s a call, two callers before this one's end, two places.
		if e.RetryAfterMS != 30_000 || e.Hint != "try again in 30s, or have the operator raise limits.concurrent or limits.queue for the plugin in the policy" {
			t.Errorf("it says to come again in %d ms: %q", e.RetryAfterMS, e.Hint)
		}
		if want := "plugin x has 2 of 2 calls under way, and 1 more wait already"; e.Message != want {
			t.Errorf("got %q, want %q", e.Message, want)
		}
		if _, err := q.try(""); abi.AsError(err).Limit != "concurrent" || strings.Contains(abi.AsError(err).Hint, "limits.queue") {
			t.Errorf("a call that doesn't wait: %+v", abi.AsError(err))
		}
		first()
		<-left
		second()
	})
}

func TestTheTimeToComeAgainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ takes, want time.Duration }{{0, minRetry}, {24 * time.Hour, maxRetry}} {
			q := newTestQueue(1, 0)
			leave := in(t, q, "")
			time.Sleep(c.takes)
			leave()
			leave = in(t, q, "")
			_, err := q.enter(t.Context(), "", time.Now(), time.Hour)
			if got := abi.AsError(err).RetryAfterMS; got != c.want.Milliseconds() {
				t.Errorf("calls of %v: come again in %d ms, want %v", c.takes, got, c.want)
			}
			leave()
		}
	})
}

func TestAWaitEndsWithItsContextAndWithItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1, 10)
		leave := in(t, q, "")
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(gone) })
		if _, err := q.enter(ctx, "", time.Now(), time.Hour); !errors.Is(err, gone) {
			t.Errorf("got %v, want the context's cause", err)
		}
		began := time.Now()
		_, err := q.enter(t.Context(), "", time.Now(), time.Hour)
		e := abi.AsError(err)
		if e == nil || e.Limit != "concurrent" || !e.Retryable || time.Since(began) != time.Hour || !strings.HasSuffix(e.Message, "its turn didn't come in 1h0m0s") {
			t.Errorf("after %v: %+v", time.Since(began), e)
		}
		began = time.Now()
		if _, err := q.enter(t.Context(), "", began.Add(-40*time.Minute), time.Hour); err == nil || time.Since(began) != 20*time.Minute {
			t.Errorf("a call that had waited for 40m before: after %v: %v", time.Since(began), err)
		}
		if got := counts(q); got != [2]int{1, 0} {
			t.Errorf("%v are in and wait", got)
		}
		leave()
		in(t, q, "")()
	})
}

func TestMorePlacesLetInWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1, 10)
		leave := in(t, q, "")
		entered := make(chan func(), 1)
		go func() {
			leave, err := q.enter(t.Context(), "", time.Now(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			entered <- leave
		}()
		synctest.Wait()
		q.resize(2, 10)
		second := <-entered
		q.resize(1, 10) // what is in stays
		if got := counts(q); got != [2]int{2, 0} {
			t.Errorf("%v are in and wait", got)
		}
		second()
		if _, err := q.try(""); err == nil {
			t.Error("fewer places are as many as before")
		}
		leave()
		in(t, q, "")()
	})
}

// TestNoPlaceIsLost has callers give up at the moment of their turn.
func TestNoPlaceIsLost(t *testing.T) {
	q := newTestQueue(3, 1000)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 0 {
				time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
			}
			leave, err := q.enter(ctx, []string{"", "a", "b"}[i%3], time.Now(), time.Duration(1+i%7)*time.Millisecond)
			if err == nil {
				leave()
			}
		})
	}
	wg.Wait()
	if got := counts(q); got != [2]int{} || len(q.keys) != 0 {
		t.Errorf("%v are left, and the keys %v", got, q.keys)
	}
}
