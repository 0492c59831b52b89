package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// download is what one way moves in a round, and leastRounds how many there are
// even on a busy machine, whose single rounds say little.
const (
	download    = 16 << 20
	leastRounds = 60
)

// figure prints a line for machines to read, once.
func figure(name string, value float64) { fmt.Printf("FIGURE %s %.3f\n", name, value) }

// fetch downloads all of a url.
func fetch(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != download) {
		err = fmt.Errorf("status %d, %d bytes", resp.StatusCode, n)
	}
	return err
}

// BenchmarkProxyOverDirect interleaves large downloads through the proxy, and
// directly, from the same server on loopback, and gives the medians of the
// ratios of their throughputs, round by round. What comes through a tunnel is bytes of no protocol
// after a ClientHello, so that the cipher isn't what is measured.
func BenchmarkProxyOverDirect(b *testing.B) {
	block := make([]byte, 256<<10)
	port := origin(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(download))
		for range download / len(block) {
			_, _ = w.Write(block)
		}
	})
	raw := greeter(b, func(c net.Conn) {
		for range download / len(block) {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	g, _ := newGate(b, egress.Config{Rules: []abi.HTTPRule{local("127.0.0.1")}})
	proxy := serve(b, g)
	url := "http://127.0.0.1:" + port
	viaProxy, direct := through(b, proxy), &http.Client{Transport: &http.Transport{}}
	defer direct.CloseIdleConnections()
	hello := clientHello(b, "")

	ways := []func() error{
		func() error { return fetch(viaProxy, url) },
		func() error { return fetch(direct, url) },
		func() error { return drainTunnel(proxy, "127.0.0.1:"+raw, hello) },
		func() error { return drain("127.0.0.1:"+raw, hello) },
	}
	times := make([][]time.Duration, len(ways))
	round := func() {
		for i, do := range ways {
			start := time.Now()
			if err := do(); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	for range 2 {
		round()
	}
	times = make([][]time.Duration, len(ways))
	for b.Loop() {
		round()
	}
	for len(times[0]) < leastRounds {
		round()
	}
	ratio := func(way, direct int) float64 {
		var list []float64
		for i := range times[way] {
			list = append(list, times[direct][i].Seconds()/times[way][i].Seconds())
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	proxied, tunneled := ratio(0, 1), ratio(2, 3)
	b.ReportMetric(proxied, "proxy-ratio")
	b.ReportMetric(tunneled, "tunnel-ratio")
	figure("egress/proxy-over-direct", proxied)
	figure("egress/tunnel-over-direct", tunneled)
}

// drain says hello and reads what comes of it.
func drain(address string, hello []byte) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	return drainConn(c, c, hello)
}

func drainTunnel(proxy, target string, hello []byte) error {
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := openTunnel(c, target)
	if err != nil {
		return err
	}
	return drainConn(c, r, hello)
}

func drainConn(c net.Conn, r io.Reader, hello []byte) error {
	if _, err := c.Write(hello); err != nil {
		return err
	}
	n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, 256<<10))
	if err == nil && n != download {
		err = fmt.Errorf("%d bytes", n)
	}
	return err
}

// openTunnel sends a CONNECT and reads the answer.
func openTunnel(c net.Conn, target string) (*bufio.Reader, error) {
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: tunnel\r\n\r\n", target); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return r, nil
}
