package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/transport"
)

// This file is all that knows the ZeroMQ library. What the rest may rely on: a
// dial obeys its context, a send is bounded, a socket's first error is its
// last, and close leaves no goroutine.

// handshakeBound is how long a kernel may take over ZeroMQ's greetings.
const handshakeBound = 5 * time.Second

// scheme names the transport with the fence.
const scheme = "fenced"

var register = sync.OnceValue(func() error { return zmq4.RegisterTransport(scheme, fencedTransport{}) })

// A socket is one connection to one of a kernel's sockets.
type socket struct {
	zmq   zmq4.Socket
	fence *fence
	send  sync.Mutex

	done chan struct{} // closed when nothing more will be delivered
	err  error         // why; to be read after done
}

// dialSub connects to a kernel's publishing socket, and dialDealer to one of
// those that answer. Both wait for the socket to be there, as long as ctx
// allows. Each message's frames go to deliver, one at a time, until done.
func dialSub(ctx context.Context, at address, deliver func([][]byte)) (*socket, error) {
	return dial(ctx, at, deliver, func(ctx context.Context, options ...zmq4.Option) (zmq4.Socket, error) {
		s := zmq4.NewSub(ctx, options...)
		return s, s.SetOption(zmq4.OptionSubscribe, "")
	})
}

func dialDealer(ctx context.Context, at address, identity string, deliver func([][]byte)) (*socket, error) {
	return dial(ctx, at, deliver, func(ctx context.Context, options ...zmq4.Option) (zmq4.Socket, error) {
		return zmq4.NewDealer(ctx, append(options, zmq4.WithID(zmq4.SocketIdentity(identity)))...), nil
	})
}

func dial(ctx context.Context, at address, deliver func([][]byte), open func(context.Context, ...zmq4.Option) (zmq4.Socket, error)) (s *socket, err error) {
	if err := register(); err != nil {
		return nil, err
	}
	line := &dialing{ctx: ctx, at: at}
	// The library knows one context, for the socket's whole life; the dial's
	// own one travels inside it.
	z, err := open(context.WithValue(context.Background(), dialingKey{}, line),
		zmq4.WithDialerMaxRetries(0),
		zmq4.WithAutomaticReconnect(false),
		zmq4.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return nil, err
	}
	defer func() {
		// The library indexes past the end of a handshake that lies.
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("the kernel's greeting on %s is broken: %v", at.name, r)
		}
		if err != nil {
			if line.fence != nil {
				line.fence.Close()
			}
			z.Close()
		}
	}()
	if err := z.Dial(scheme + "://" + at.name); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	s = &socket{zmq: z, fence: line.fence, done: make(chan struct{})}
	go s.receive(deliver)
	if err := line.release(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// receive delivers messages until the connection's end. It always reads on:
// kernels drop what a slow reader leaves in the queue.
func (s *socket) receive(deliver func([][]byte)) {
	defer close(s.done)
	for {
		m, err := s.zmq.Recv()
		if err != nil {
			s.err = err
			return
		}
		if m.Type != zmq4.CmdMsg && len(m.Frames) > 0 {
			deliver(m.Frames)
		}
	}
}

// write sends one message. That it returns nil doesn't mean that the kernel
// has it: only an answer does.
func (s *socket) write(frames [][]byte) error {
	s.send.Lock()
	defer s.send.Unlock()
	s.fence.gather()
	err := s.zmq.SendMulti(zmq4.NewMsgFrom(frames...))
	return errors.Join(err, s.fence.flush())
}

// close ends the connection and returns when nothing more is delivered. The
// order matters: the library's reader must see its connection end while
// somebody still receives, or it is never heard of again.
func (s *socket) close() {
	if s == nil {
		return
	}
	s.fence.Close()
	<-s.done
	s.zmq.Close()
}

// dialing carries what the library's Dial doesn't, to the transport and back.
type dialing struct {
	ctx     context.Context
	at      address
	fence   *fence
	release func() error // ends ctx's hold on the connection; an error if that has ended
}

type dialingKey struct{}

// fencedTransport connects to Unix sockets, through a fence.
type fencedTransport struct{}

func (fencedTransport) Dial(ctx context.Context, _ transport.Dialer, _ string) (net.Conn, error) {
	line, ok := ctx.Value(dialingKey{}).(*dialing)
	if !ok {
		return nil, errors.New("not dialed by this package")
	}
	conn, err := line.at.dial(line.ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeBound)); err != nil {
		conn.Close()
		return nil, err
	}
	hold := context.AfterFunc(line.ctx, func() { conn.Close() })
	line.fence = newFence(conn)
	line.release = func() error {
		if !hold() {
			return line.ctx.Err()
		}
		return conn.SetDeadline(time.Time{})
	}
	return line.fence, nil
}

func (fencedTransport) Listen(context.Context, string) (net.Listener, error) {
	return nil, errors.New("this transport only dials")
}

func (fencedTransport) Addr(name string) (string, error) { return name, nil }
