package policy_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

var (
	digestA = "sha256:" + strings.Repeat("a", 64)
	digestB = "sha256:" + strings.Repeat("b", 64)
)

// sample is a policy that a person wrote.
var sample = `# the whitelist
version: 1
plugins:
  - name: python
    digest: ` + digestA + `
    grant: {kernel: {languages: [python], max_time: 10m}, files: {upload: read, output: write}}
    limits: {memory_mib: 512, deadline: 5m}
    config: {greeting: hello, retries: 3}
  - name: files
    digest: ` + digestB + `
    grant:
      files:
        store: append
      tool: {names: [python_run, sheet_sum]}
`

func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseReadsWhatIsGranted(t *testing.T) {
	got := parse(t, sample)
	want := &policy.Policy{Version: 1, Plugins: []policy.Entry{
		{
			Name: "python", Digest: digestA,
			Grant: abi.Capabilities{
				Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(10 * time.Minute)},
				Files:  &abi.FilesScope{Upload: abi.AccessRead, Output: abi.AccessWrite},
			},
			Limits: abi.Limits{MemoryMiB: 512, Deadline: abi.Duration(5 * time.Minute)},
			Config: map[string]string{"greeting": "hello", "retries": "3"},
		},
		{Name: "files", Digest: digestB, Grant: abi.Capabilities{
			Files: &abi.FilesScope{Store: abi.AccessAppend}, Tool: &abi.ToolScope{Names: []string{"python_run", "sheet_sum"}},
		}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseNamesThePlaceOfAMistake(t *testing.T) {
	entry := func(lines string) string {
		return "version: 1\nplugins:\n  - name: python\n    digest: " + digestA + "\n" + lines
	}
	tests := []struct{ name, text, message, hint string }{
		{"empty", "", "1:1: version is missing", "write version: 1"},
		{"newer version", "version: 2\n", "1:10: version is 2: this host reads version 1", "update the host"},
		{"unknown field", entry("    grnat: {}\n"), `5:5: unknown field "grnat" in plugins[0]`, "name, digest, grant, limits, config"},
		{"unknown capability", entry("    grant: {browser: {}}\n"), `5:13: unknown field "browser" in plugins[0].grant`, "kernel, files, http"},
		{"unknown zone", entry("    grant: {files: {tmp: read}}\n"), `5:21: unknown field "tmp"`, "upload, output, store, deploy"},
		{"unknown access", entry("    grant: {files: {output: rw}}\n"), `5:29: plugin python: files.output is "rw": use read, append or write`, ""},
		{"access beyond the zone's rule", entry("    grant: {files: {upload: write}}\n"), `5:29: plugin python: files.upload is "write"`, ""},
		{"no language", entry("    grant: {kernel: {languages: []}}\n"), `5:33: plugin python: kernel.languages is empty`, ""},
		{"languages missing", entry("    grant: {kernel: {max_time: 5m}}\n"), `plugin python: kernel.languages is empty`, ""},
		{"negative time", entry("    grant: {kernel: {languages: [python], max_time: -5m}}\n"), `5:53: plugin python: kernel.max_time is negative`, ""},
		{"time without unit", entry("    limits: {deadline: 300}\n"), `5:24: plugins[0].limits.deadline: duration "300": use a number with a unit`, ""},
		{"too much memory", entry("    limits: {memory_mib: 5000}\n"), `5:26: plugin python: limits.memory_mib is 5000: use 1 to 4096`, ""},
		{"limit beyond its bound", entry("    limits: {queue: 100001}\n"), `5:21: plugin python: limits.queue is 100001: use 1 to 100000`, ""},
		{"negative limit", entry("    limits: {fuel: -1}\n"), `5:20: plugin python: limits.fuel is -1`, ""},
		{"unknown limit", entry("    limits: {sockets: 3}\n"), `5:14: unknown field "sockets" in plugins[0].limits`, "host_bytes"},
		{"no name", "version: 1\nplugins:\n  - digest: " + digestA + "\n", "3:5: plugins[0] has no name", "write name:"},
		{"bad name", "version: 1\nplugins:\n  - name: My_Plugin\n", `3:11: plugin name "My_Plugin" isn't one`, "lower-case"},
		{"no digest", "version: 1\nplugins:\n  - name: python\n", "3:5: plugin python has no digest", "sallyport plugin inspect"},
		{"short digest", "version: 1\nplugins:\n  - name: python\n    digest: sha256:abc\n", `4:13: plugin python: "sha256:abc" is not a digest`, "64 lower-case hex digits"},
		{"upper-case digest", "version: 1\nplugins:\n  - name: python\n    digest: sha256:" + strings.Repeat("A", 64) + "\n", `is not a digest`, "lower-case"},
		{"same plugin twice", entry("  - name: python\n    digest: " + digestB + "\n"), "5:11: plugin python is there twice", "one entry"},
		{"same digest twice", entry("  - name: files\n    digest: " + digestA + "\n"), "6:13: plugins python and files have the same digest", "inspect"},
		{"same field twice", entry("    digest: " + digestB + "\n"), `5:5: mapping key "digest" already defined`, ""},
		{"no rule", entry("    grant: {http: {}}\n"), `5:19: plugin python: http.allow is empty: write a rule with its hosts`, ""},
		{"a host with a port", entry("    grant: {http: {allow: [{hosts: [a.example, \"b.example:443\"]}]}}\n"), `5:48: plugin python: http.allow[0].hosts[1] is "b.example:443": name the host alone`, ""},
		{"bits beyond a prefix", entry("    grant: {http: {allow: [{hosts: [a.example], addresses: [10.1.2.3/8]}]}}\n"), `5:61: plugin python: http.allow[0].addresses[0] is "10.1.2.3/8": write it as 10.0.0.0/8`, ""},
		{"a port that is none", entry("    grant: {http: {allow: [{hosts: [a.example], ports: [https]}]}}\n"), `5:57: plugins[0].grant.http.allow[0].ports[0]: port "https": use a port from 1 to 65535`, ""},
		{"no tool", entry("    grant: {tool: {}}\n"), `5:19: plugin python: tool.names is empty: name at least one tool, such as files_read`, ""},
		{"no tool's full name", entry("    grant: {tool: {names: [files_read, files]}}\n"), `5:40: plugin python: tool.names[1] is "files": use a tool's full name`, ""},
		{"all tools", entry("    grant: {tool: {names: [\"*\"]}}\n"), `5:28: plugin python: tool.names[0] is "*"`, ""},
		{"not yaml", "version: [1\n", "1:10: ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := policy.Parse([]byte(tt.text))
			if abi.CodeOf(err) != abi.CodeInvalidArgument || p != nil {
				t.Fatalf("got %+v, %v; want no policy and invalid_argument", p, err)
			}
			e := abi.AsError(err)
			if !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got  %q, hint %q\nwant %q, hint %q", e.Message, e.Hint, tt.message, tt.hint)
			}
		})
	}
}

func TestEncodeIsCanonicalAndReadBack(t *testing.T) {
	p := parse(t, sample)
	first, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `version: 1
plugins:
  - name: files
    digest: ` + digestB + `
    grant:
      files:
        store: append
      tool:
        names: [python_run, sheet_sum]
  - name: python
    digest: ` + digestA + `
    grant:
      kernel:
        languages: [python]
        max_time: 10m
      files:
        upload: read
        output: write
    limits:
      memory_mib: 512
      deadline: 5m
    config:
      greeting: hello
      retries: "3"
`
	if _, body, _ := strings.Cut(string(first), "version:"); "version:"+body != want {
		t.Errorf("got:\n%s", first)
	}
	if !strings.HasPrefix(string(first), "# ") {
		t.Errorf("no comment at the top:\n%s", first)
	}
	if p.Plugins[0].Name != "python" {
		t.Error("encoding changed the order of the policy itself")
	}
	second, err := parse(t, string(first)).Encode()
	if err != nil || string(second) != string(first) {
		t.Errorf("the second encoding differs (%v):\n%s", err, second)
	}
}

func TestEncodeRefusesWhatParseWouldRefuse(t *testing.T) {
	p := &policy.Policy{Version: 1, Plugins: []policy.Entry{{Name: "python", Digest: "sha256:abc"}}}
	if _, err := p.Encode(); err == nil || !strings.HasPrefix(abi.AsError(err).Message, "plugin python: ") {
		t.Errorf("got %v", err)
	}
}

func TestAGrantOfHTTPIsReadAndWritten(t *testing.T) {
	const head = "version: 1\nplugins:\n  - name: web\n    digest: sha256:"
	p := parse(t, head+strings.Repeat("a", 64)+`
    grant:
      http:
        allow:
          - hosts: [api.example.com, "*.example.org"]
            methods: [GET, POST]
          - hosts: [127.0.0.1]
            schemes: [http]
            ports: [8080, 9000-9010]
            addresses: [127.0.0.1/32]
        secrets:
          - name: example-token
            header: Authorization
            prefix: "Bearer "
            hosts: [api.example.com]
        max_time: 30s
        max_bytes: 10485760
      kernel: {languages: [python], network: true}
`)
	want := abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"python"}, Network: true},
		HTTP: &abi.HTTPScope{
			Allow: []abi.HTTPRule{
				{Hosts: []string{"api.example.com", "*.example.org"}, Methods: []string{"GET", "POST"}},
				{
					Hosts: []string{"127.0.0.1"}, Schemes: []string{"http"},
					Ports:     []abi.PortRange{{First: 8080, Last: 8080}, {First: 9000, Last: 9010}},
					Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
				},
			},
			Secrets: []abi.HTTPSecret{{Name: "example-token", Header: "Authorization", Prefix: "Bearer ", Hosts: []string{"api.example.com"}}},
			MaxTime: abi.Duration(30 * time.Second), MaxBytes: 10 << 20,
		},
	}
	if got := p.Plugins[0].Grant; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	text, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const written = `
      http:
        allow:
          - hosts: [api.example.com, "*.example.org"]
            methods: [GET, POST]
          - hosts: ["127.0.0.1"]
            schemes: [http]
            ports: [8080, "9000-9010"]
            addresses: ["127.0.0.1/32"]
        secrets:
          - name: example-token
            header: Authorization
            prefix: "Bearer "
            hosts: [api.example.com]
        max_time: 30s
        max_bytes: 10485760
`
	if !strings.HasSuffix(string(text), written) {
		t.Errorf("it is written\n%s", text)
	}
	if back := parse(t, string(text)); !reflect.DeepEqual(back, p) {
		t.Errorf("read back it is %+v", back)
	}
}

func TestAllowReplacesTheEntryOfTheSameName(t *testing.T) {
	p := &policy.Policy{Version: 1}
	p.Allow(policy.Entry{Name: "a", Digest: digestA})
	p.Allow(policy.Entry{Name: "b", Digest: digestB})
	p.Allow(policy.Entry{Name: "a", Digest: digestA, Config: map[string]string{"k": "v"}})
	if e, ok := p.Lookup("a"); !ok || e.Config["k"] != "v" || len(p.Plugins) != 2 {
		t.Errorf("got %+v", p)
	}
	if _, ok := p.Lookup("c"); ok {
		t.Error("found an entry that isn't there")
	}
}

func TestAdmitPinsTheDigest(t *testing.T) {
	p := parse(t, sample)
	digestC := "sha256:" + strings.Repeat("c", 64)
	if e, err := p.Admit("python", digestA, "python.wasm"); err != nil || e.Name != "python" {
		t.Errorf("the approved file: %+v, %v", e, err)
	}
	tests := []struct {
		name, plugin, digest string
		message, hint        []string
	}{
		{"not on the list", "weather", digestC, []string{"weather is not on the whitelist", digestC}, []string{"sallyport plugin inspect w.wasm", "sallyport plugin allow w.wasm"}},
		{"changed after approval", "python", digestC, []string{"python was changed after it was approved", digestC, digestA}, []string{"sallyport plugin allow w.wasm"}},
		{"listed under another name", "weather", digestA, []string{digestA, "under the name python", "weather"}, []string{"correct the name"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.Admit(tt.plugin, tt.digest, "w.wasm")
			if abi.CodeOf(err) != abi.CodePermissionDenied {
				t.Fatalf("got %v, want permission_denied", err)
			}
			e := abi.AsError(err)
			for _, part := range tt.message {
				if !strings.Contains(e.Message, part) {
					t.Errorf("message %q lacks %q", e.Message, part)
				}
			}
			for _, part := range tt.hint {
				if !strings.Contains(e.Hint, part) {
					t.Errorf("hint %q lacks %q", e.Hint, part)
				}
			}
		})
	}
	if _, err := (&policy.Policy{Version: 1}).Admit("python", digestA, "p.wasm"); abi.CodeOf(err) != abi.CodePermissionDenied {
		t.Errorf("an empty policy admits: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("version: 1\nplugins: []\n")
	f.Add("version: 1\nplugins:\n  - {name: a, digest: " + digestA + ", grant: {http: {allow: [{hosts: [\"*\"], ports: [80, 8000-8099], addresses: [\"fd00::/8\"]}], secrets: [{name: a, header: B, hosts: [c]}]}}}\n")
	f.Add("version: 1\nplugins:\n  - {name: a, digest: " + digestA + ", config: {a: \"- b: #\", c: 1.10, d: |\n  x}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return // the YAML parser's time grows with the square of the depth
		}
		p, err := policy.Parse([]byte(text))
		if err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument || p != nil {
				t.Fatalf("got %v, %v", p, err)
			}
			return
		}
		first, err := p.Encode()
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		back, err := policy.Parse(first)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, first)
		}
		for _, want := range p.Plugins {
			if got, ok := back.Lookup(want.Name); !ok || !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v\nwant %+v\nin:\n%s", got, want, first)
			}
		}
		if second, err := back.Encode(); err != nil || string(second) != string(first) {
			t.Fatalf("not canonical (%v):\n%s\n%s", err, first, second)
		}
	})
}
