package abi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

func TestCallRequestsAreEncodedAsAnyHeader(t *testing.T) {
	for _, r := range []abi.CallRequest{
		{Tool: "echo", Session: "s-1", Call: "c-7", Arguments: json.RawMessage(`{"text":"<\u00e9 \ud83d>"}`), DeadlineMS: 30_000},
		{Tool: "a \"tool\"\n", Session: "<s>", Call: "\xff", Arguments: json.RawMessage(`{}`)},
		{Arguments: json.RawMessage(`{}`), DeadlineMS: -1},
	} {
		want, err := abi.EncodeFrame(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := abi.EncodeCallRequest(r); err != nil || string(got) != string(want) {
			t.Errorf("frame is %q, %v, want %q", got, err, want)
		}
	}
}

func TestACallRequestWithoutArgumentsHasNone(t *testing.T) {
	got, err := abi.EncodeCallRequest(abi.CallRequest{Tool: "echo"})
	if err != nil || string(got[4:]) != `{"tool":"echo","session":"","call":"","arguments":{}}` {
		t.Errorf("frame is %q, %v", got, err)
	}
}

func TestCallRequestsKeepTheBoundsOfFrames(t *testing.T) {
	for arguments, want := range map[string]abi.Code{
		"{\"a\":\"\xff\"}": abi.CodeInvalidArgument,
		`{"a":"` + strings.Repeat("x", abi.MaxHeaderBytes) + `"}`: abi.CodeResourceExhausted,
	} {
		if _, err := abi.EncodeCallRequest(abi.CallRequest{Arguments: json.RawMessage(arguments)}); abi.CodeOf(err) != want {
			t.Errorf("%.10q: %v, want %v", arguments, err, want)
		}
	}
}

// said is the response of a tool that answers with a text.
func said(text string) abi.CallResponse {
	return abi.CallResponse{Result: &abi.Result{Content: []abi.Content{{Type: abi.ContentText, Text: text}}}}
}

func TestTextsGoWhereTheyAreCheapest(t *testing.T) {
	for _, tt := range []struct {
		name, text, decoded string
		body                int
	}{
		{"short", strings.Repeat("x", abi.LongText-1), "", 0},
		{"long", strings.Repeat("x", abi.LongText), "", abi.LongText},
		{"long and not UTF-8", strings.Repeat("x", abi.LongText) + "\xff\xff", strings.Repeat("x", abi.LongText) + "\ufffd\ufffd", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := abi.EncodeCallResponse(said(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			f, err := abi.DecodeFrame(b)
			if err != nil || len(f.Body) != tt.body {
				t.Errorf("the body has %d bytes, want %d: %v", len(f.Body), tt.body, err)
			}
			want := tt.decoded
			if want == "" {
				want = tt.text
			}
			if r, err := abi.DecodeCallResponse(b); err != nil || r.Result.Content[0].Text != want {
				t.Errorf("decoded: %+v, %v", r, err)
			}
		})
	}
}

func TestAShortTextMayBeInTheBody(t *testing.T) {
	for text, n := range map[string]int{"é": 2, "": 0} {
		header := fmt.Sprintf(`{"result":{"content":[{"type":"text","body":{"offset":0,"length":%d}}]}}`, n)
		r, err := abi.DecodeCallResponseFrame(abi.Frame{Header: json.RawMessage(header), Body: []byte("é")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(r.Result.Content)
		if want := `[{"type":"text","text":"` + text + `"}]`; err != nil || string(got) != want {
			t.Errorf("content is %s, %v, want %s", got, err, want)
		}
	}
}

// TestResultsSayNoMoreThanAHeaderHolds counts the texts in the body.
func TestResultsSayNoMoreThanAHeaderHolds(t *testing.T) {
	header := `{"result":{"content":[{"type":"text","body":{"offset":0,"length":%d}}]}}`
	most := abi.MaxHeaderBytes - len(fmt.Sprintf(header, abi.MaxHeaderBytes))
	for n, ok := range map[int]bool{most: true, most + 1: false} {
		text := strings.Repeat("x", n)
		if _, err := abi.EncodeCallResponse(said(text)); (err == nil) != ok || err != nil && abi.CodeOf(err) != abi.CodeResourceExhausted {
			t.Errorf("encoding %d bytes: %v", n, err)
		}
		_, err := abi.DecodeCallResponseFrame(abi.Frame{Header: json.RawMessage(fmt.Sprintf(header, n)), Body: []byte(text)})
		if (err == nil) != ok || err != nil && abi.CodeOf(err) != abi.CodeInvalidArgument {
			t.Errorf("decoding %d bytes: %v", n, err)
		}
	}
}
