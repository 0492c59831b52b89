package engine

import "fmt"

// output keeps the beginning and the end of what a guest prints, within a
// bound.
type output struct {
	head    []byte
	tail    []byte // a ring once full; next is its oldest byte
	next    int
	limit   int // of head, and of tail
	dropped int64
}

func newOutput(limit int) output { return output{limit: max(limit/2, 1)} }

func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	if free := o.limit - len(o.head); free > 0 {
		k := min(free, len(p))
		o.head = append(o.head, p[:k]...)
		p = p[k:]
	}
	if over := len(p) - o.limit; over > 0 {
		o.dropped += int64(over)
		p = p[over:]
	}
	if free := o.limit - len(o.tail); free > 0 {
		k := min(free, len(p))
		o.tail = append(o.tail, p[:k]...)
		p = p[k:]
	}
	o.dropped += int64(len(p))
	for len(p) > 0 {
		k := copy(o.tail[o.next:], p)
		p = p[k:]
		o.next = (o.next + k) % o.limit
	}
	return n, nil
}

func (o *output) String() string {
	end := string(o.tail[o.next:]) + string(o.tail[:o.next])
	if o.dropped == 0 {
		return string(o.head) + end
	}
	return fmt.Sprintf("%s\n… %d bytes dropped …\n%s", o.head, o.dropped, end)
}
