package bridge

import (
	"encoding/binary"

	"github.com/sallyport-dev/sallyport/abi"
)

// headroom is what a header leaves free, so that the response of a task still
// fits into the frame that wait wraps it in.
const headroom = 1 << 10

// encodeExecute returns the frame of r. The code has run, and its outcome must
// not be lost because its output does not fit into a frame: then the outputs
// that don't fit are left out and counted as truncated.
func encodeExecute(op string, r abi.KernelExecuteResponse) ([]byte, error) {
	frame, header, err := encodeSized(r)
	if err == nil && header <= abi.MaxHeaderBytes-headroom {
		return frame, nil
	}
	if err != nil && abi.CodeOf(err) != abi.CodeResourceExhausted {
		return nil, err
	}
	outputs := r.Outputs
	r.Outputs = nil
	_, header, err = encodeSized(r)
	if err != nil || header > abi.MaxHeaderBytes-2*headroom {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "%s: the code ran, and its error alone does not fit into a response", op).
			WithHint("let the code raise a shorter error")
	}
	headers, bodies := abi.MaxHeaderBytes-2*headroom-header, abi.MaxFrameBytes-abi.MaxHeaderBytes
	for _, o := range outputs {
		frame, header, err := encodeSized(abi.KernelExecuteResponse{Outputs: []abi.Output{o}})
		body := len(frame) - header
		if err != nil || header > headers || body > bodies {
			r.Truncated += size(o)
			continue
		}
		headers, bodies = headers-header, bodies-body
		r.Outputs = append(r.Outputs, o)
	}
	frame, _, err = encodeSized(r)
	return frame, err
}

// encodeResult returns the frame of what a tool answered. It is passed on whole
// or not at all: whoever reads it can't tell what would be missing.
func encodeResult(op, tool string, r *abi.Result) ([]byte, error) {
	frame, err := abi.EncodeCallResponse(abi.CallResponse{Result: r})
	if abi.CodeOf(err) == abi.CodeResourceExhausted || err == nil && binary.LittleEndian.Uint32(frame) > abi.MaxHeaderBytes-headroom {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "%s: %s ran, and its result does not fit into a response", op, tool).
			WithHint("have it do less at a time, or write to a file")
	}
	return frame, err
}

// encodeSized returns the frame of r and its header's length.
func encodeSized(r abi.KernelExecuteResponse) (frame []byte, header int, err error) {
	if frame, err = abi.EncodeKernelExecute(r); err != nil {
		return nil, 0, err
	}
	return frame, int(binary.LittleEndian.Uint32(frame)), nil
}

// size is how many bytes an output holds.
func size(o abi.Output) int64 {
	n := len(o.Text)
	for _, v := range o.Data {
		n += len(v)
	}
	for _, b := range o.Blobs {
		n += len(b.Bytes)
	}
	return int64(n)
}
