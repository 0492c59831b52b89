package engine

import (
	"context"
)

// A sessionInstance is the instance of one session of a plugin that keeps
// state. Whoever has the turn may use it.
type sessionInstance struct {
	turn     chan struct{} // holds a token while somebody has the turn
	instance *instance     // nil until a call has made one, and after one failed
	ended    bool          // it is nobody's any more
}

// end throws the instance away. Where ctx ends before the turn is had, whoever
// has it does.
func (s *sessionInstance) end(ctx context.Context) {
	select {
	case s.turn <- struct{}{}:
		s.drop()
		s.ended = true
		<-s.turn
	case <-ctx.Done():
	}
}

// drop throws the instance away. The caller has the turn.
func (s *sessionInstance) drop() {
	if s.instance != nil {
		s.instance.discard()
		s.instance = nil
	}
}

// takeSession waits for the session's turn and binds its instance, or makes
// one.
func (p *Plugin) takeSession(ctx context.Context, session string, run *state) (*instance, string, error) {
	for {
		p.mu.Lock()
		s := p.sessions[session]
		if s == nil {
			s = &sessionInstance{turn: make(chan struct{}, 1)}
			if p.sessions == nil {
				p.sessions = map[string]*sessionInstance{}
			}
			p.sessions[session] = s
		}
		p.mu.Unlock()
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, SandboxSession, waitEnded(ctx, "waiting for the session's earlier calls of the plugin")
		}
		if s.ended {
			<-s.turn
			continue // the session was ended while this call waited
		}
		run.turn = s
		if s.instance != nil {
			s.instance.bind(run)
			return s.instance, SandboxSession, nil
		}
		i, how, err := p.fresh(ctx, run)
		if i == nil {
			run.turn = nil
			<-s.turn
		}
		return i, how, err
	}
}

// giveSession ends a run's turn. What the call left open is closed, for its
// files were granted to that call; an instance that failed is thrown away, and
// the next call begins anew.
func (p *Plugin) giveSession(i *instance, session string, well bool) {
	s := i.state.turn
	p.mu.Lock()
	current := p.sessions[session] == s
	p.mu.Unlock()
	s.instance = i
	if !well || !current || i.module.IsClosed() {
		s.drop()
	} else {
		i.state.closeFiles()
		i.clock = i.nanotime()
		i.state = nil
	}
	<-s.turn
}
