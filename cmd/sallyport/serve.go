package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/httpapi"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run a host and its HTTP door",
		Long: `Serve runs a host until it is interrupted. It prints one line to stdout when it
is ready, "listening on URL", and logs to stderr.

Plugins run in their sandbox, and the Python that they run behind walls of its
own: namespaces, a read-only system, no network but what was granted, an account
and limits of its own. Where those walls can't be had serve refuses to start, and says what to do;
--isolation=preferred takes those that can be had, --isolation=off none.
"sallyport doctor" tries them. Serve speaks plain HTTP and listens on loopback
only.`,
		Example: `  sallyport serve
  sallyport serve --listen 127.0.0.1:0 --data-dir /tmp/try`,
		Args: exactly(),
	}
	addSettings(cmd, "listen", "allowed_hosts", "data_dir", "plugin_dir", "policy", "python", "isolation", "bubblewrap", "kernel_memory_mib", "kernel_processes", "kernel_processors", "cache_dir", "ca_file", "max_sessions", "log_level", "log_format")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		return serve(cmd, cfg)
	}
	return cmd
}

// shutdownTimeout bounds how long calls may take to end after an interrupt.
const shutdownTimeout = 15 * time.Second

func serve(cmd *cobra.Command, cfg Config) (err error) {
	log := cfg.logger(cmd)
	listener, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	// The host outlives the signal for as long as it takes to end well.
	h, err := host.New(context.WithoutCancel(cmd.Context()), cfg.host(log))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), shutdownTimeout)
		defer cancel()
		err = errors.Join(err, h.Close(ctx))
		log.Info("ended")
	}()
	api, err := httpapi.New(httpapi.Config{Host: h, AllowedHosts: cfg.AllowedHosts, Logger: log.Named("http")})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if !h.Isolated() {
		log.Warn("kernels are not isolated: they are ordinary processes of this account, with its files and its network", "isolation", cfg.Isolation)
	}
	return serveHTTP(cmd, listener, api)
}

// listen opens a loopback address: tokens don't cross a network in the clear.
func listen(address string) (net.Listener, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usageError{fmt.Errorf("listen address is %q: use host:port, such as 127.0.0.1:7425", address)}
	}
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "listen address is %q, which is not on loopback", address).
			WithHint("use 127.0.0.1, and put a proxy that speaks TLS in front for other machines: serve speaks plain HTTP")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "can't listen on %s: %w", address, err).
			WithHint("is another host running? choose another port with --listen, 127.0.0.1:0 for any free one")
	}
	return l, nil
}

// serveHTTP serves until the command's context ends, then ends the calls that
// are under way and waits for their answers to be sent.
func serveHTTP(cmd *cobra.Command, listener net.Listener, handler http.Handler) error {
	requests, endRequests := context.WithCancelCause(context.WithoutCancel(cmd.Context()))
	defer endRequests(nil)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "listening on http://%s\n", listener.Addr()); err != nil {
		return errors.Join(err, server.Close(), ignoreClosed(<-done))
	}
	select {
	case err := <-done:
		return err
	case <-cmd.Context().Done():
	}
	endRequests(abi.Errorf(abi.CodeCanceled, "the host is ending"))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	return errors.Join(err, ignoreClosed(<-done))
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
