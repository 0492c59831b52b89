package bridge

import (
	"context"
	"maps"
	"strconv"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// An operation is one decoded request to a capability.
type operation struct {
	ask     policy.Request    // what the policy is asked; Op names the operation
	detail  map[string]string // for the audit
	offered bool              // this host has the capability
	async   bool
	// quiet is part of an operation that was audited: it is neither audited
	// nor counted itself, unless it is refused.
	quiet bool
	// run calls the capability. It returns the response's frame and what the
	// audit is to know of the outcome.
	run func(context.Context) ([]byte, map[string]string, error)
}

// do takes an operation through policy, audit and capability.
func (c *Call) do(ctx context.Context, o operation) ([]byte, error) {
	op := o.ask.Op
	if !o.quiet {
		if err := c.countOperation(op); err != nil {
			return nil, err
		}
	}
	if err := policy.Check(c.config.Capabilities, o.ask); err != nil {
		return nil, c.refuse(o, err)
	}
	if !o.offered {
		return nil, c.refuse(o, abi.Errorf(abi.CodeUnavailable, "%s: this host does not offer the capability", op).
			WithHint("sallyport doctor says what is missing"))
	}
	if o.async {
		return c.begin(ctx, o)
	}
	if err := c.intend(o); err != nil {
		return nil, err
	}
	return c.carryOut(ctx, o)
}

// carryOut calls the capability and audits what came of it.
func (c *Call) carryOut(ctx context.Context, o operation) ([]byte, error) {
	frame, detail, err := c.guard(ctx, o)
	if err != nil {
		frame, err = nil, c.public(o.ask.Op, err)
	}
	if o.quiet {
		return frame, err
	}
	outcome := maps.Clone(o.detail)
	maps.Copy(outcome, detail)
	c.record(Record{Op: o.ask.Op, Detail: outcome, Err: err, Phase: PhaseOutcome})
	return frame, err
}

// guard turns a capability's panic into an error.
func (c *Call) guard(ctx context.Context, o operation) (frame []byte, detail map[string]string, err error) {
	defer func() {
		if v := recover(); v != nil {
			frame, detail, err = nil, nil, c.panicked(o.ask.Op, v)
		}
	}()
	return o.run(ctx)
}

// intend audits what is about to be done. It fails when that can't be.
func (c *Call) intend(o operation) error {
	if o.quiet {
		return nil
	}
	if c.config.Audit == nil {
		return errNoAudit(o.ask.Op)
	}
	err := c.config.Audit(Record{Op: o.ask.Op, Detail: maps.Clone(o.detail), Phase: PhaseIntent})
	if err != nil {
		c.log.Error("intent not audited, and so not carried out", "op", o.ask.Op, "error", err)
		return errNoAudit(o.ask.Op).WithCause(err)
	}
	return nil
}

func errNoAudit(op string) *abi.Error {
	return abi.Errorf(abi.CodeUnavailable, "%s: it can't be audited, so it wasn't done", op).
		WithHint("the host's log says why the audit log can't be written")
}

// refuse audits that an operation was refused, and returns why.
func (c *Call) refuse(o operation, why error) error {
	c.record(Record{Op: o.ask.Op, Detail: maps.Clone(o.detail), Err: why, Phase: PhaseOutcome})
	return why
}

// record audits an outcome. What was done can't be undone, so a failure is the
// operator's to see, not the plugin's.
func (c *Call) record(r Record) {
	if c.config.Audit == nil {
		return
	}
	if err := c.config.Audit(r); err != nil {
		c.log.Error("outcome not audited", "op", r.Op, "error", err)
	}
}

// countOperation bounds what one call can make the audit log grow by.
func (c *Call) countOperation(op string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operations >= abi.MaxOperations {
		return abi.Errorf(abi.CodeResourceExhausted, "%s: a call has at most %d operations", op, abi.MaxOperations)
	}
	c.operations++
	return nil
}

func number[N int | int64 | uint16 | uint32](n N) string { return strconv.FormatInt(int64(n), 10) }
