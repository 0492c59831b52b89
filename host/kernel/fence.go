package kernel

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"time"
)

// Bounds of one message on the way from the kernel to the host.
const (
	maxMessage = 32 << 20 // bytes of all its frames
	maxFrames  = 4096
)

// sendBound is how long a kernel may leave the host's bytes unread.
const sendBound = 10 * time.Second

// Flags of a frame in ZMTP 3, and the length of the greeting before the first.
const (
	flagMore      = 1
	flagLong      = 2
	greetingBytes = 64
)

// A fence is a connection to a kernel that keeps the ZeroMQ library from harm.
// The library allocates as many bytes as a frame's header announces, and code
// in the kernel can announce what it likes. The fence follows the framing, and
// where a message is over maxMessage it reads past the frame's body and hands
// on a short mark in its place: the host's memory stays bounded, and a kernel
// that printed too much at once keeps its state.
//
// It also gathers the writes of one message into one, and bounds them in time.
type fence struct {
	net.Conn
	in *bufio.Reader

	// The read side, used by one goroutine at a time.
	ready  []byte // to be handed on before anything is read
	pass   uint64 // bytes to be handed on as they come
	budget uint64 // left for the message
	frames int    // of the message so far
	more   bool   // the message goes on

	// The write side, guarded by the socket's lock.
	gathering bool
	out       bytes.Buffer
}

func newFence(c net.Conn) *fence {
	return &fence{Conn: c, in: bufio.NewReaderSize(c, 64<<10), pass: greetingBytes}
}

func (f *fence) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(f.ready) == 0 && f.pass == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.ready) > 0 {
		n := copy(p, f.ready)
		f.ready = f.ready[n:]
		return n, nil
	}
	n, err := f.in.Read(p[:min(uint64(len(p)), f.pass)])
	f.pass -= uint64(n)
	return n, midway(err)
}

// midway is what the end of the connection is inside a frame.
func midway(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next reads a frame's header and decides on its body.
func (f *fence) next() error {
	var head [9]byte
	if _, err := io.ReadFull(f.in, head[:2]); err != nil {
		return err
	}
	flags, size, n := head[0], uint64(head[1]), 2
	if flags&flagLong != 0 {
		if _, err := io.ReadFull(f.in, head[2:]); err != nil {
			return midway(err)
		}
		size, n = binary.BigEndian.Uint64(head[1:]), 9
	}
	if !f.more {
		f.budget, f.frames = maxMessage, 0
	}
	f.more = flags&flagMore != 0
	if f.frames++; f.frames > maxFrames {
		return fmt.Errorf("a message has more than %d frames", maxFrames)
	}
	if size <= f.budget {
		f.budget -= size
		f.ready, f.pass = append(f.ready[:0], head[:n]...), size
		return nil
	}
	if size > math.MaxInt64 {
		return errors.New("a frame announces an impossible length")
	}
	mark := cutMark(int64(size))
	f.ready = append(append(f.ready[:0], flags&^flagLong, byte(len(mark))), mark...)
	_, err := io.CopyN(io.Discard, f.in, int64(size))
	return midway(err)
}

// gather holds writes back until flush.
func (f *fence) gather() { f.gathering = true }

// flush writes what was gathered.
func (f *fence) flush() error {
	f.gathering = false
	defer f.out.Reset()
	if f.out.Len() == 0 {
		return nil
	}
	_, err := f.Write(f.out.Bytes())
	return err
}

func (f *fence) Write(p []byte) (int, error) {
	if f.gathering {
		return f.out.Write(p)
	}
	if err := f.SetWriteDeadline(time.Now().Add(sendBound)); err != nil {
		return 0, err
	}
	return f.Conn.Write(p)
}

// cutPrefix starts the mark in place of a frame. It can't be the start of JSON
// or of a signature.
const cutPrefix = "\x00cut "

// cutMark returns the mark for n bytes left out.
func cutMark(n int64) []byte { return strconv.AppendInt([]byte(cutPrefix), n, 10) }

// cutFrom returns how many bytes a mark stands for, zero for any other frame.
func cutFrom(frame []byte) int64 {
	digits, ok := bytes.CutPrefix(frame, []byte(cutPrefix))
	if !ok || len(digits) > 19 {
		return 0
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
