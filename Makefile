# Fieldbridge. `make help` lists what can be made.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      := go
BIN     := bin/fieldbridge
export CGO_ENABLED ?= 0
# -race needs cgo and a C compiler; with CI=true a missing one is an error.
HAVE_CC := $(shell command -v $${CC:-cc} 2>/dev/null)
ifneq ($(or $(HAVE_CC),$(filter true,$(CI))),)
RACE := CGO_ENABLED=1
RACEFLAG := -race
endif

.PHONY: help run build test lint vuln rooms fuzz mutate bench bench-save bench-diff bench-compare bench-store soak sbom clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: build ## build, and run the main job here: simulated devices, the gateway, a local cloud
	$(BIN) demo $(ARGS)

build: ## build the static binary bin/fieldbridge
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/fieldbridge

test: ## run all tests in random order, with the race detector where there is a C compiler
	$(RACE) $(GO) test $(RACEFLAG) -shuffle=on ./...

lint: bin/golangci-lint ## gofmt, go vet, errcheck, ineffassign, staticcheck, lines of at most 120
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || \
		{ echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	bin/golangci-lint run ./...

# The tools' versions stand in tools/go.mod, apart from the product's.
bin/golangci-lint: PKG = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/benchstat: PKG = golang.org/x/perf/cmd/benchstat
bin/govulncheck: PKG = golang.org/x/vuln/cmd/govulncheck
bin/golangci-lint bin/benchstat bin/govulncheck: tools/go.mod
	$(GO) build -modfile=tools/go.mod -o $@ $(PKG)

vuln: bin/govulncheck ## look for known vulnerabilities of what is used; needs vuln.go.dev
	@bin/govulncheck ./... || { echo "make vuln: if its database is out of reach here, nothing was checked" >&2; exit 1; }

rooms: ## print the table of the packages: files, lines, comments, tests, knots
	@$(GO) test -count=1 -run '^TestRooms$$' -v . | sed -n 's/^        //p;/^ *rooms_test.go.*:..*[a-z]/p'

FUZZTIME ?= 20s
fuzz: ## run each fuzz test for FUZZTIME (20s)
# Go's fuzzer now and then fails by its own deadline, with no failing input: that is no finding.
	@mkdir -p bin; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; \
		$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$p > bin/fuzz.log 2>&1 || \
			{ grep -q '^ *context deadline exceeded$$' bin/fuzz.log && ! grep -q 'Failing input' bin/fuzz.log; } || \
			{ cat bin/fuzz.log; exit 1; }; \
		tail -1 bin/fuzz.log; \
	done; done

mutate: ## break the program on purpose, fault by fault, and see that the tests notice; takes half an hour
	$(GO) run ./mutate $(ARGS)

bench: ## run the benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

BENCH ?= .
COUNT ?= 10
BENCHPKG ?= ./bridge/... ./store/... ./southbound/... ./northbound/... ./configs/...
bench-save: ## save COUNT (10) runs of the benchmarks BENCH (.) as bin/bench.old
	@mkdir -p bin
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(BENCHPKG) | tee bin/bench.old

bench-diff: bin/benchstat ## compare the benchmarks with the saved run
	@test -s bin/bench.old || { echo "nothing to compare with: run make bench-save on the older commit" >&2; exit 1; }
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(BENCHPKG) | tee bin/bench.new
	bin/benchstat bin/bench.old bin/bench.new

OLD ?= 268a91e
bench-compare: ## whole gateways: this checkout beside the commit OLD, 10 interleaved pairs of each load
	bench/scripts/compare.sh $(OLD)

bench-store: ## measure the queue beside a plain synced log
	$(GO) test -run '^$$' -bench 'Commit|Backlog|Encode' -benchmem -timeout 60m -v ./store

SOAK ?= 1000
soak: ## kill, cut the power and break the link SOAK (1000) times; takes an hour
	FIELDBRIDGE_SOAK=$(SOAK) $(RACE) $(GO) test $(RACEFLAG) -timeout 3h -v -run 'Kill|Cut|Soak|Compares|Misbehaves|SlowDisk' ./store ./northbound/awsiot ./gateway/crashtest ./cmd/fieldbridge

sbom: build ## write the CycloneDX SBOM and the third-party notices of the binary to bin/
	$(GO) tool -modfile=tools/go.mod cyclonedx-gomod bin -json -output bin/fieldbridge.cdx.json $(BIN)
	$(GO) run ./packaging/notices $(BIN) > bin/THIRD-PARTY-NOTICES.txt

clean: ## remove what was built and what the demo wrote
	rm -rf bin demo
