package egress_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// targets are URLs and what they mean.
var targets = map[string]string{
	"http://example.com":                  "http://example.com:80",
	"https://example.com/a?b#c":           "https://example.com:443",
	"HTTPS://EXAMPLE.com:8443":            "https://example.com:8443",
	"ws://example.com":                    "http://example.com:80",
	"wss://example.com/socket":            "https://example.com:443",
	"https://example.com.":                "https://example.com:443",
	"https://example.com.:444/":           "https://example.com:444",
	"https://b\u00fccher.example/":        "https://xn--bcher-kva.example:443",
	"https://B\u00dcCHER.example/":        "https://xn--bcher-kva.example:443",
	"https://xn--bcher-kva.example":       "https://xn--bcher-kva.example:443",
	"https://\u0430pple.com":              "https://xn--pple-43d.com:443", // a Cyrillic a
	"https://ex\u00adample.com":           "https://example.com:443",      // a soft hyphen
	"https://example\u3002com":            "https://example.com:443",      // an ideographic full stop
	"https://r3---sn-a.example.com":       "https://r3---sn-a.example.com:443",
	"https://my_bucket.example.com":       "https://my_bucket.example.com:443",
	"http://192.0.2.1":                    "http://192.0.2.1:80",
	"http://192.0.2.1.:81":                "http://192.0.2.1:81",
	"http://[2001:DB8:0:0::1]":            "http://[2001:db8::1]:80",
	"http://[2001:db8::1]:8080/":          "http://[2001:db8::1]:8080",
	"http://[::ffff:127.0.0.1]":           "http://127.0.0.1:80",
	"http://[::ffff:7f00:1]":              "http://127.0.0.1:80",
	"http://1.example.com":                "http://1.example.com:80",
	"http://0x7f.1.example":               "http://0x7f.1.example:80",
	"http://localhost:9":                  "http://localhost:9",
	"http://example.com/@evil.example":    "http://example.com:80",
	"http://example.com?@evil.example":    "http://example.com:80",
	"http://example.com#@evil.example":    "http://example.com:80",
	"http://example.com/http://evil.test": "http://example.com:80",
}

// malformed are URLs that are refused, with a part of the reason.
var malformed = map[string]string{
	"":                                "scheme",
	"example.com":                     "scheme",
	"//example.com":                   "scheme",
	"ftp://example.com":               "scheme",
	"file:///etc/passwd":              "scheme",
	"http:example.com":                "no host",
	"http:///path":                    "no host",
	"http://":                         "no host",
	"http://:80/":                     "bytes",
	"http://user@example.com":         "user information",
	"http://user:pass@example.com":    "user information",
	"http://@example.com":             "user information",
	"http://good.example@127.0.0.1/":  "user information",
	"http://good.example:80@10.0.0.1": "user information",
	"http://good.example\\@10.0.0.1":  "character",
	"http:\\\\10.0.0.1":               "character",
	"http://good.example\t.evil":      "character",
	"http://good.example\r\nHost: x":  "character",
	"http://good.example /":           "character",
	"http://good.example\x00":         "character",
	"http://good.example%00.evil":     "can't be read",
	"http://%31%30.0.0.1":             "can't be read",
	"http://b%C3%BCcher.example":      "percent-encoded",
	"http://example.com:":             "no port",
	"http://example.com:0":            "no port",
	"http://example.com:080":          "no port",
	"http://example.com:65536":        "no port",
	"http://example.com:+80":          "can't be read",
	"http://example.com:http":         "can't be read",
	"http://example.com:80:90":        "", // in whatever words
	"http://example..com":             "no part of a name",
	"http://.example.com":             "no part of a name",
	"http://example.com..":            "no part of a name",
	"http://-a.example":               "no part of a name",
	"http://a-.example":               "no part of a name",
	"http://exa*mple.com":             "no part of a name",
	"http://a,b.example":              "no part of a name",
	"http://xn--a.example":            "encodes no name",
	"http://xn--abc-.example":         "",
	"http://127.1":                    "ambiguous",
	"http://127.0.1":                  "ambiguous",
	"http://2130706433":               "ambiguous",
	"http://017700000001":             "ambiguous",
	"http://0177.0.0.1":               "ambiguous",
	"http://127.0.0.01":               "ambiguous",
	"http://0x7f000001":               "ambiguous",
	"http://0X7F.1":                   "ambiguous",
	"http://0x7f.0x0.0x0.0x1":         "ambiguous",
	"http://127.0.0.0x1":              "ambiguous",
	"http://0x":                       "ambiguous",
	"http://0":                        "ambiguous",
	"http://1.2.3.4.5":                "ambiguous",
	"http://256.0.0.1":                "ambiguous",
	"http://example.1":                "ambiguous",
	"http://127.0.0.1..":              "no part of a name",
	"http://\uff11\uff12\uff17.0.0.1": "ambiguous", // full-width digits
	"http://127\u30020\u30020\u30021": "ambiguous",
	"http://[fe80::1%25eth0]":         "zone",
	"http://[::1":                     "",
	"http://[::1]x":                   "",
	"http://[example.com]":            "",
	"http://[127.0.0.1]":              "",
	"http://[::1]:":                   "no port",
	"http://::1":                      "",
	"http://2001:db8::1":              "",
}

func TestAURLMeansOneTarget(t *testing.T) {
	for url, want := range targets {
		got, err := egress.ParseTarget(url)
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", url, got, err, want)
		}
	}
}

func TestAURLThatTwoReadersCouldReadDifferentlyIsRefused(t *testing.T) {
	long := strings.Repeat("a", 64) + ".example"
	malformed["http://"+long] = "no part of a name"
	malformed["http://"+strings.Repeat("a.", 127)+"example"] = "bytes"
	malformed["http://example.com/"+strings.Repeat("a", abi.MaxURLBytes)] = "bytes"
	for url, reason := range malformed {
		got, err := egress.ParseTarget(url)
		if abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.Contains(abi.AsError(err).Message, reason) {
			t.Errorf("%q: %v, %v; want a word of %q", url, got, err, reason)
		}
	}
}
