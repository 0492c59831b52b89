package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

// Bounds of what an agent gets to read in one answer.
const (
	maxText      = 40_000  // characters of prints and values
	maxTraceback = 8_000   // characters of an exception
	maxImages    = 16      // images
	maxImage     = 4 << 20 // bytes of one image
)

// shape turns an execution into what an agent reads: notices, outputs in their
// order, then how it ended. There is no structured content, beside which some
// clients drop images; the status is in the metadata.
func shape(done kernel.Execution) sdk.Result {
	var blocks []sdk.Content
	if done.StateLost != "" {
		blocks = append(blocks, sdk.Text(fmt.Sprintf(
			"Note: Python was started afresh: %s. Variables, imports and functions of earlier calls are gone, files are kept. Run again what is still needed.", done.StateLost)))
	}
	printed := outputs(done)
	blocks = append(blocks, bound(printed, maxText, "print less, or write to a file in output/")...)
	if done.Truncated > 0 {
		blocks = append(blocks, sdk.Text(fmt.Sprintf(
			"[%d bytes of output over the host's bound were dropped: print less, or write to a file in output/]", done.Truncated)))
	}
	if e := done.Error; e != nil && (done.Status == abi.StatusError || len(e.Traceback) > 0) {
		blocks = append(blocks, sdk.Text(exception(e)))
	}
	took := (time.Duration(done.DurationMS) * time.Millisecond).Round(100 * time.Millisecond)
	switch done.Status {
	case abi.StatusTimeout:
		blocks = append(blocks, sdk.Text(fmt.Sprintf(
			"[interrupted after %v, when its time was over: what it printed is above, %s]", took, variables(done))))
	case abi.StatusInterrupted:
		blocks = append(blocks, sdk.Text(fmt.Sprintf(
			"[interrupted by somebody else after %v: what it printed is above, %s]", took, variables(done))))
	case abi.StatusOK:
		if len(printed) == 0 {
			blocks = append(blocks, sdk.Text("[done, nothing printed]"))
		}
	}
	r := sdk.ResultOf(blocks...)
	r.IsError = done.Status != abi.StatusOK
	r.Meta = map[string]json.RawMessage{
		"python/status":          meta(done.Status),
		"python/execution_count": meta(done.ExecutionCount),
		"python/duration_ms":     meta(done.DurationMS),
	}
	if done.StateLost != "" {
		r.Meta["python/state_lost"] = meta(done.StateLost)
	}
	return r
}

// variables says what an interrupt left of them.
func variables(done kernel.Execution) string {
	if done.Killed {
		return "but it did not obey, so Python was ended: variables are gone, the next run starts afresh"
	}
	return "variables are kept"
}

// meta writes a string or a number.
func meta[T string | int | int64](v T) json.RawMessage {
	b, _ := json.Marshal(v) // can't fail
	return b
}

// outputs returns a block for each thing that was printed or shown.
func outputs(done kernel.Execution) []sdk.Content {
	var blocks []sdk.Content
	images := 0
	for _, o := range done.Outputs {
		switch {
		case o.Type == abi.OutputStream && o.Text == "":
		case o.Type == abi.OutputStream && o.Name == "stderr":
			blocks = append(blocks, sdk.Text("[stderr]\n"+o.Text))
		case o.Type == abi.OutputStream:
			blocks = append(blocks, sdk.Text(o.Text))
		default:
			block := shown(o, &images)
			if o.Type == abi.OutputResult && block.Type == abi.ContentText {
				block.Text = "[result]\n" + block.Text
			}
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// shown returns the representation of a display or a result that says most to
// an agent: its image, else its plainest text.
func shown(o abi.Output, images *int) sdk.Content {
	for _, b := range o.Blobs {
		if !slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, b.MIMEType) {
			continue
		}
		if len(b.Bytes) > maxImage {
			return sdk.Text(fmt.Sprintf("[an image of %d bytes, too large to show: save it to output/, or make it smaller]", len(b.Bytes)))
		}
		if *images++; *images > maxImages {
			return sdk.Text(fmt.Sprintf("[an image beyond the %d that one call shows: save it to output/, or show fewer]", maxImages))
		}
		return sdk.Image(b.MIMEType, b.Bytes)
	}
	for _, mime := range []string{"text/plain", "text/markdown", "text/latex", "text/html", "application/json"} {
		if raw, ok := o.Data[mime]; ok {
			return sdk.Text(text(raw))
		}
	}
	mimes := []string{}
	for mime := range o.Data {
		mimes = append(mimes, mime)
	}
	for _, b := range o.Blobs {
		mimes = append(mimes, b.MIMEType)
	}
	slices.Sort(mimes)
	return sdk.Text(fmt.Sprintf("[shown as %s, which can't be given here: save it to output/]", strings.Join(mimes, ", ")))
}

// text reads a representation: a string, else its JSON.
func text(raw json.RawMessage) string {
	var s string
	if err := json.Unmarshal(raw, &s); err == nil {
		return s
	}
	return string(raw)
}

// exception returns what an exception says. IPython's traceback ends with its
// name and value; of others they come first.
func exception(e *abi.KernelError) string {
	trace := strings.TrimRight(strings.Join(e.Traceback, "\n"), "\n")
	if head := strings.TrimSuffix(e.Name+": "+e.Value, ": "); !strings.Contains(trace, e.Name) {
		trace = strings.TrimRight(head+"\n"+trace, "\n")
	}
	cut := bound([]sdk.Content{sdk.Text(trace)}, maxTraceback, "the first and the last frames are shown")
	return "[error]\n" + cut[0].Text
}
