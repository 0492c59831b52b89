package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// instantiateHost puts every import module into a runtime. Which of them a
// plugin may name is admission's to say.
func instantiateHost(ctx context.Context, runtime wazero.Runtime, wasi []wasiFunction) error {
	builders := map[string]wazero.HostModuleBuilder{}
	export := func(module, name string, s wasm.Signature, f api.GoModuleFunc) {
		b, ok := builders[module]
		if !ok {
			b = runtime.NewHostModuleBuilder(module)
			builders[module] = b
		}
		b.NewFunctionBuilder().WithGoModuleFunction(f, []api.ValueType(s.Params), []api.ValueType(s.Results)).Export(name)
	}
	for _, f := range wasi {
		export(abi.ModuleWASI, f.name, f.signature, f.call)
	}
	for _, op := range abi.Ops() {
		module, name := abi.SplitOp(op)
		export(module, name, operationSignature, operation(op))
	}
	export(abi.ModuleCall, abi.FuncResponse, responseSignature, response)
	export(wasm.CheckpointModule, wasm.CheckpointName, checkpointSignature, checkpoint)
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// operation is the import function of op:
//
//	(req_ptr i32, req_len i32, resp_ptr i32, resp_cap i32) → i64
func operation(op string) api.GoModuleFunc {
	return func(ctx context.Context, module api.Module, stack []uint64) {
		s := stateOf(ctx)
		s.enterHost()
		defer s.leaveHost()
		memory := module.Memory()
		request := view(memory, op, "request", uint32(stack[0]), uint32(stack[1]))
		room := view(memory, op, "room for the response", uint32(stack[2]), uint32(stack[3]))
		s.pending = nil
		if len(request) > abi.MaxFrameBytes {
			stack[0] = s.refuse(abi.Errorf(abi.CodeInvalidArgument, "%s: the request has %d bytes, the bound is %d", op, len(request), abi.MaxFrameBytes))
			return
		}
		s.budget.takeHostBytes(len(request))
		frame, err := s.carryOut(ctx, op, slices.Clone(request))
		if err == nil && len(frame) > abi.MaxFrameBytes {
			err = abi.Errorf(abi.CodeResourceExhausted, "%s: the response has %d bytes, the bound is %d", op, len(frame), abi.MaxFrameBytes)
		}
		if err != nil {
			stack[0] = s.refuse(err)
			return
		}
		s.budget.takeHostBytes(len(frame))
		if len(frame) <= len(room) {
			copy(room, frame)
		} else {
			s.pending = &pending{frame: frame}
		}
		stack[0] = uint64(len(frame))
	}
}

// response is sallyport:call.response:
//
//	(ptr i32, cap i32) → i64
//
// Once fetched, a response is no longer pending.
func response(ctx context.Context, module api.Module, stack []uint64) {
	s := stateOf(ctx)
	s.enterHost()
	defer s.leaveHost()
	room := view(module.Memory(), abi.ModuleCall+"."+abi.FuncResponse, "room", uint32(stack[0]), uint32(stack[1]))
	if s.pending == nil {
		stack[0] = status(abi.CodeNotFound)
		return
	}
	frame := s.pending.encode()
	if s.pending.err != nil {
		s.budget.takeHostBytes(len(frame)) // of others that was taken when they came
	}
	if len(frame) <= len(room) {
		copy(room, frame)
		s.pending = nil
	}
	stack[0] = uint64(len(frame))
}

// carryOut hands a request to the call's Dispatch.
func (s *state) carryOut(ctx context.Context, op string, frame []byte) ([]byte, error) {
	if s.shut != nil {
		return nil, s.shut
	}
	if s.dispatch == nil {
		return nil, abi.Errorf(abi.CodePermissionDenied, "%s: nothing is granted to this call", op)
	}
	defer func() {
		if r := recover(); r != nil {
			panic(&hostPanic{doing: op, value: r, stack: debug.Stack()})
		}
	}()
	return s.dispatch(ctx, op, frame)
}

// refuse makes err the pending response and returns the import's result.
func (s *state) refuse(err error) uint64 {
	e := abi.AsError(err)
	if e.Code >= 0 {
		e = abi.Errorf(abi.CodeInternal, "the host failed; its log has the cause").WithCause(err)
	}
	if e.Code == abi.CodeInternal {
		s.log.Error("an operation failed", "error", err)
	}
	s.pending = &pending{err: e}
	return status(e.Code)
}

func status(c abi.Code) uint64 { return uint64(int64(c)) }

// encode returns the frame. An error that doesn't fit into one is replaced by
// one that does.
func (p *pending) encode() []byte {
	if p.frame == nil {
		frame, err := abi.EncodeFrame(p.err, nil)
		if err != nil {
			frame, _ = abi.EncodeFrame(&abi.Error{Code: p.err.Code, Message: "the error is too long to be told"}, nil)
		}
		p.frame = frame
	}
	return p.frame
}

// view returns the guest's bytes at ptr, for the time of one host function. A
// place outside the memory traps the guest; of no bytes there is no place.
func view(memory api.Memory, function, what string, ptr, n uint32) []byte {
	if n == 0 {
		return nil
	}
	b, ok := memory.Read(ptr, n)
	if !ok {
		panic(&badPointer{fmt.Sprintf("%s: its %s, %d bytes at %d, is outside the memory", function, what, n, ptr)})
	}
	return b
}

// checkTime stops a guest whose time is over at the next import it calls.
func (s *state) checkTime() {
	if s.ctx.Err() != nil {
		panic(errTimeOver)
	}
}
