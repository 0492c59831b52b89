package kernel

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
)

// itemCost is charged for each output besides its text, so that a flood of
// tiny ones is bounded too.
const itemCost = 64

// stdout is the stream of ordinary output.
const stdout = "stdout"

// A transcript gathers what one execution prints and shows, within bounds: the
// first half of the text's budget is spent on the head, the other on the most
// recent text, and what falls out between is counted. It also passes outputs
// on to the sink as they come, in a goroutine of its own, so that neither a
// flood nor a slow sink ever keeps the kernel waiting.
//
// Text is charged what it takes as JSON, so that what fits here also fits a
// frame's header.
type transcript struct {
	text, blobs int64 // bounds, bytes

	mu         sync.Mutex
	head, tail items
	full       bool  // the head is: everything goes to the tail
	blobBytes  int64 // kept
	dropped    int64 // text left out between head and tail, bytes
	left       int64 // everything else left out, bytes
	clearNext  bool  // the next output replaces all before it

	sink *sink
}

// An item is one output in a transcript.
type item struct {
	abi.Output
	text    []byte // a stream's, in place of Output.Text
	display string // the id by which it can be updated
	cost    int64
}

type items struct {
	list []item
	cost int64
}

func (l *items) add(it item) {
	l.list = append(l.list, it)
	l.cost += it.cost
}

// join appends text to the last item, if that is the same stream, or adds one.
func (l *items) join(name string, text []byte) {
	if len(text) == 0 {
		return
	}
	cost := jsonLen(text)
	if n := len(l.list); n > 0 && l.list[n-1].Type == abi.OutputStream && l.list[n-1].Name == name {
		last := &l.list[n-1]
		last.text = append(last.text, text...)
		last.cost += cost
		l.cost += cost
		return
	}
	l.add(item{Output: abi.Output{Type: abi.OutputStream, Name: name}, text: slices.Clone(text), cost: cost + itemCost})
}

// trim drops from the front what is over the bound, and returns its size.
func (l *items) trim(bound int64) (text, blobs int64) {
	for l.cost > bound {
		first := &l.list[0]
		if first.Type == abi.OutputStream && first.cost-itemCost > l.cost-bound {
			n := costing(first.text, l.cost-bound)
			paid := jsonLen(first.text[:n])
			first.text = first.text[n:]
			first.cost -= paid
			l.cost -= paid
			return text + int64(n), blobs
		}
		text += int64(len(first.text)) + dataBytes(first.Data)
		blobs += blobBytes(first.Blobs)
		l.cost -= first.cost
		*first = item{}
		l.list = l.list[1:]
	}
	return text, blobs
}

func newTranscript(text, blobs int64, deliver func(abi.Output)) *transcript {
	t := &transcript{text: text, blobs: blobs}
	if deliver != nil {
		t.sink = newSink(text, blobs, deliver)
	}
	return t
}

// stream adds printed text.
func (t *transcript) stream(name, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clearIfDue()
	t.sink.stream(name, text)
	rest := []byte(text)
	if !t.full {
		n := fitting(rest, t.text/2-t.head.cost-itemCost)
		t.head.join(name, rest[:n])
		rest = rest[n:]
		t.full = len(rest) > 0
	}
	t.tail.join(name, rest)
	t.trim()
}

// show adds a display or a result.
func (t *transcript) show(o abi.Output, display string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clearIfDue()
	it := t.admit(o, display)
	t.sink.show(it.Output)
	t.add(it)
}

// update replaces every display with the given id. One that was shown by an
// earlier execution is shown anew.
func (t *transcript) update(o abi.Output, display string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clearIfDue()
	found := false
	for _, l := range []*items{&t.head, &t.tail} {
		for i := range l.list {
			old := &l.list[i]
			if display == "" || old.display != display {
				continue
			}
			t.blobBytes -= blobBytes(old.Blobs)
			l.cost -= old.cost
			it := t.admit(o, display)
			if !found {
				t.sink.show(it.Output)
			}
			found = true
			if l.cost+it.cost > t.text/2 {
				t.left += dataBytes(it.Data) + blobBytes(it.Blobs)
				t.blobBytes -= blobBytes(it.Blobs)
				it.Data, it.Blobs, it.cost = nil, nil, itemCost
			}
			old.Data, old.Blobs, old.cost = it.Data, it.Blobs, it.cost
			l.cost += it.cost
		}
	}
	if !found {
		it := t.admit(o, display)
		t.sink.show(it.Output)
		t.add(it)
	}
}

// clear drops all outputs so far, at once or when the next one comes.
func (t *transcript) clear(wait bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clearNext = true
	if !wait {
		t.clearIfDue()
	}
}

func (t *transcript) clearIfDue() {
	if !t.clearNext {
		return
	}
	t.head, t.tail, t.full = items{}, items{}, false
	t.blobBytes, t.dropped, t.left, t.clearNext = 0, 0, 0, false
}

// count notes bytes that were left out before they came here.
func (t *transcript) count(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left += n
}

// admit cuts an output down to what one output may take: a quarter of the
// text's budget, and what is left of the blobs'.
func (t *transcript) admit(o abi.Output, display string) item {
	it := item{Output: o, display: display, cost: itemCost}
	bound := t.text / 4
	it.Data = map[string]json.RawMessage{}
	for _, mime := range mimeOrder(o.Data) {
		raw := o.Data[mime]
		cost := jsonLen(raw) + int64(len(mime)) + 4
		if it.cost+cost > bound {
			kept, lost := shorten(mime, raw, bound-it.cost)
			t.left += lost
			if kept == nil {
				continue
			}
			raw, cost = kept, jsonLen(kept)+int64(len(mime))+4
		}
		it.Data[mime] = raw
		it.cost += cost
	}
	if len(it.Data) == 0 {
		it.Data = nil
	}
	it.Blobs = nil
	for _, b := range o.Blobs {
		if t.blobBytes+int64(len(b.Bytes)) > t.blobs {
			t.left += int64(len(b.Bytes))
			continue
		}
		t.blobBytes += int64(len(b.Bytes))
		it.cost += itemCost
		it.Blobs = append(it.Blobs, b)
	}
	return it
}

func (t *transcript) add(it item) {
	if !t.full && t.head.cost+it.cost <= t.text/2 {
		t.head.add(it)
		return
	}
	t.full = true
	t.tail.add(it)
	t.trim()
}

func (t *transcript) trim() {
	text, blobs := t.tail.trim(t.text / 2)
	t.dropped += text
	t.left += blobs
	t.blobBytes -= blobs
}

// outputs returns what was gathered, with a line in the place of what fell out
// between head and tail, and how many bytes were left out in all.
func (t *transcript) outputs() (list []abi.Output, truncated int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.joined()
}

func (t *transcript) joined() (list []abi.Output, truncated int64) {
	all := items{list: slices.Clone(t.head.list)}
	if n := len(all.list); n > 0 { // join appends to the last one
		all.list[n-1].text = slices.Clone(all.list[n-1].text)
	}
	tail := t.tail.list
	if t.dropped > 0 {
		name := stdout
		if n := len(all.list); n > 0 && all.list[n-1].Type == abi.OutputStream {
			name = all.list[n-1].Name
		}
		all.join(name, fmt.Appendf(nil, "\n[… %d bytes of output left out …]\n", t.dropped))
	}
	for _, it := range tail {
		if it.Type == abi.OutputStream {
			all.join(it.Name, it.text)
		} else {
			all.add(it)
		}
	}
	list = make([]abi.Output, 0, len(all.list))
	for _, it := range all.list {
		if it.Type == abi.OutputStream {
			it.Text = string(it.text)
		}
		list = append(list, it.Output)
	}
	return list, t.dropped + t.left
}

// moveTo gives the outputs to another transcript and forgets them.
func (t *transcript) moveTo(other *transcript) {
	t.mu.Lock()
	list, truncated := t.joined()
	t.clearNext = true
	t.clearIfDue()
	t.mu.Unlock()
	for _, o := range list {
		if o.Type == abi.OutputStream {
			other.stream(o.Name, o.Text)
		} else {
			other.show(o, "")
		}
	}
	other.count(truncated)
}

// close returns when the sink has had everything. Nothing is delivered after.
func (t *transcript) close() { t.sink.close() }
