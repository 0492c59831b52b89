package main

import (
	"fmt"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// bound keeps the first and the last characters of all text taken together, at
// most in number, and says in their place how many it cut, with a hint. Images
// stay where they are.
func bound(blocks []sdk.Content, most int, hint string) []sdk.Content {
	total := 0
	for _, b := range blocks {
		total += utf8.RuneCountInString(b.Text)
	}
	if total <= most {
		return blocks
	}
	// Of the characters numbered through all blocks, [head, tail) are cut. The
	// end is where results and errors are.
	head := most / 2
	tail := total - (most - head)
	note := fmt.Sprintf("\n[… %d characters cut here: %s …]\n", tail-head, hint)
	var kept []sdk.Content
	at := 0
	for _, b := range blocks {
		if b.Type != abi.ContentText {
			kept = append(kept, b)
			continue
		}
		n := utf8.RuneCountInString(b.Text)
		from, to := at, at+n
		at = to
		if to <= head || from >= tail {
			kept = append(kept, b)
			continue
		}
		runes := []rune(b.Text)
		text := string(runes[:max(0, head-from)])
		if from <= head {
			text += note // in the one block where the cut begins
		}
		if to > tail {
			text += string(runes[max(0, tail-from):])
		}
		if text != "" {
			kept = append(kept, sdk.Text(text))
		}
	}
	return kept
}
