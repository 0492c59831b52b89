package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// Bounds of the lines that an answer quotes.
const (
	maxQuoted = 12  // lines
	maxQuote  = 160 // characters of a line
	maxNear   = 3   // places that come near
	margin    = 2   // lines before and after a change
)

// mismatch is the error of an edit whose text isn't there as often as it was
// said to be. It shows where to look.
func mismatch(n name, text, old string, at []int, want int) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(at) > 0 {
		found := linesAt(text, at)
		e := sdk.Errorf(abi.CodeFailedPrecondition, "old is %s in %s and count is %d: it is at %s",
			times(len(at)), n, want, lineList(found)).
			WithHint("give more of the text around the one that is meant, or count %d for all of them; nothing was changed\n%s", len(at), quote(lines, found))
		e.Field = "/old"
		return e
	}
	e := sdk.Errorf(abi.CodeFailedPrecondition, "old is not in %s, which has %s", n, count(len(lines), "line")).
		WithHint("read the file and copy the text exactly, white space included; nothing was changed")
	if text == "" {
		e.Message = fmt.Sprintf("old is not in %s, which is empty", n)
	} else if near := nearest(lines, old); len(near) > 0 {
		e.Hint += "\nthe nearest:\n" + quote(lines, near)
	}
	e.Field = "/old"
	return e
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// nearest returns the numbers of the lines that are most like the first line of
// old that says something: those that differ in white space, else those that
// share the most words with it.
func nearest(lines []string, old string) []int {
	var sought string
	for line := range strings.Lines(old) {
		if sought = flat(line); sought != "" {
			break
		}
	}
	if sought == "" {
		return nil
	}
	const contained, same = 1 << 20, 1 << 21 // more than any words score
	type match struct{ line, score int }
	var matches []match
	words := wordsOf(sought)
	for i, line := range lines {
		score := 0
		switch line := flat(line); {
		case line == sought:
			score = same
		case strings.Contains(line, sought):
			score = contained
		default:
			have := wordsOf(line)
			for w := range words {
				if have[w] {
					score = min(score+len(w), contained-1)
				}
			}
		}
		if score > 0 {
			matches = append(matches, match{i + 1, score})
		}
	}
	slices.SortStableFunc(matches, func(a, b match) int { return cmp.Compare(b.score, a.score) })
	var list []int
	for _, m := range matches[:min(len(matches), maxNear)] {
		if matches[0].score >= contained && m.score < contained {
			break // no words in common are as near as that
		}
		list = append(list, m.line)
	}
	slices.Sort(list)
	return list
}

// flat joins a line's words by single spaces.
func flat(line string) string { return strings.Join(strings.Fields(line), " ") }

func wordsOf(line string) map[string]bool {
	words := map[string]bool{}
	for w := range strings.FieldsFuncSeq(line, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[w] = true
	}
	return words
}

// quote shows lines by their numbers.
func quote(lines []string, numbers []int) string {
	var b strings.Builder
	numbers = slices.Compact(slices.Clone(numbers))
	for _, n := range numbers[:min(len(numbers), maxQuoted)] {
		line := []rune(strings.TrimSuffix(lines[n-1], "\r"))
		if len(line) > maxQuote {
			line = append(line[:maxQuote], '…')
		}
		fmt.Fprintf(&b, "%6d\t%s\n", n, string(line))
	}
	return b.String()
}

// around shows the lines of a change, and some before and after.
func around(text string, at, length int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	ends := linesAt(text, []int{at, at + length})
	first := max(1, ends[0]-margin)
	last := min(len(lines), ends[1]+margin)
	var numbers []int
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return quote(lines, numbers)
}
