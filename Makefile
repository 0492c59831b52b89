# Everything a person types. `make help` lists it.

GO      ?= go
PYTHON3 ?= python3
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)

# What the host and its tests need from Debian: bubblewrap for the walls, fonts
# for kernels, curl for the README's commands, a C compiler for the race detector
# and for attempts at the walls, Chromium for the test that its own sandbox stands
# inside them, clang with wasi-libc for the plugin written in C, and wabt for the
# hostile modules, which are written as text.
DEBIAN := bubblewrap python3-venv fonts-noto-cjk curl gcc libc6-dev chromium \
          clang lld wasi-libc libclang-rt-dev-wasm32 wabt

GOFLAGS_BUILD := -trimpath -buildvcs=false -ldflags="-s -w -X github.com/sallyport-dev/sallyport/host.Version=$(VERSION)"
GUESTS        := $(addprefix ./,$(sort $(dir $(wildcard testdata/plugins/*/*.go))))
PLUGINS       := python files http
SALLYPORT     := build/sallyport
VENV          := .venv
DATA          := sallyport-data
POLICY        := policy.yaml
FUZZTIME      ?= 30s
SOAK          ?= 5m
STARTS        ?= 1000
CALLS         ?= 200000

export SALLYPORT_PYTHON := $(CURDIR)/$(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup build demo serve test check bench fuzz soak clean

help: ## list what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp ## install what is missing: Debian packages, the Python environment

.PHONY: debian
debian:
	@missing=; for p in $(DEBIAN); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -q -y --no-install-recommends $$missing; \
	fi

$(VENV)/.stamp: host/kernel/requirements.txt | debian
	$(PYTHON3) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r host/kernel/requirements.txt
	touch $@

build: ## build the host and the plugins into build/
	@mkdir -p build/plugins
	$(GO) build $(GOFLAGS_BUILD) -o $(SALLYPORT) ./cmd/sallyport
	for p in $(PLUGINS); do $(SALLYPORT) plugin build plugins/$$p -o build/plugins/$$p.wasm || exit; done

demo: setup build ## play an agent against a real host, step by step
	$(GO) run ./cmd/demo -sallyport $(SALLYPORT) -python $(SALLYPORT_PYTHON)

serve: setup build ## set up a host with the python, files and http plugins, and keep it up
	for p in $(PLUGINS); do $(SALLYPORT) plugin allow build/plugins/$$p.wasm --policy $(POLICY) --yes || exit; done
	@test -s $(DATA)/agent.token || (umask 077; mkdir -p $(DATA); \
	  $(SALLYPORT) token create --data-dir $(DATA) --role agent --name make-serve > $(DATA)/agent.token)
	@echo "the agent's token is in $(DATA)/agent.token; try, in another shell:"
	@echo "  $(SALLYPORT) call python_run '{\"code\": \"1+1\"}' --token-file $(DATA)/agent.token"
	$(SALLYPORT) serve --data-dir $(DATA) --plugin-dir build/plugins --policy $(POLICY)

test: setup ## the whole test suite, with the race detector
	@# Plugins compile ten times slower under the race detector: fill the cache first.
	$(GO) test -run '^TestEveryPluginLoads$$' ./host/hosttest
	$(GO) test -race -timeout 20m ./... $(GUESTS)

check: setup ## formatting, vet for the host and for guests, lint, tidiness, both architectures
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./... $(GUESTS)
	GOOS=wasip1 GOARCH=wasm $(GO) vet ./abi/... ./sdk ./sdk/kernel ./sdk/http ./sdk/tool ./plugins/... $(GUESTS)
	$(GO) tool staticcheck ./... $(GUESTS)
	$(GO) mod tidy -diff
	cd testdata/bench && $(GO) mod tidy -diff && $(GO) vet ./...
	GOOS=linux GOARCH=amd64 $(GO) build -o /dev/null ./cmd/sallyport
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/sallyport

bench: setup ## benchmarks, and the figures as `FIGURE name value`
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./...
	@# The engine beside Extism and go-plugin, in a module of its own.
	cd testdata/bench && $(GO) test -run '^$$' -bench . -benchtime 3s -timeout 30m ./...

fuzz: ## fuzz every parser, FUZZTIME each
	@for f in $$(git ls-files '*_test.go'); do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
	    echo "== $$name in $$(dirname $$f)"; \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f) || exit; \
	  done; \
	done

soak: setup ## sessions for SOAK, STARTS processes, CALLS calls with faults, looking for what they leave behind
	SALLYPORT_SOAK=$(SOAK) SALLYPORT_SOAK_STARTS=$(STARTS) SALLYPORT_SOAK_CALLS=$(CALLS) \
	  $(GO) test -run '^TestSoak' -timeout 0 -v ./host/internal/proc ./host/httpapi ./host/hosttest

clean: ## remove what was built; the Python environment and make serve's data stay
	rm -rf build
