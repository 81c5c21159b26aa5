# Fieldbridge. `make help` lists what can be made.
VERSION = $$($(GO) run ./packaging/release --version 2>/dev/null || echo dev)
GO      := go
BIN     := bin/fieldbridge
# The program speaks HTTP/1.1 alone, to people and on its control socket: half a MiB less.
# What runs at the start and for people alone is not inlined: 0.5 MiB less. Each reading passes recent. TLS
# is in it, since what costs in it, the ciphers, is in packages of their own.
TAGS    := nethttpomithttp2
COLD    := $(foreach p,fieldbridge/cmd fieldbridge/configs fieldbridge/console \
	fieldbridge/northbound/awsiot/awsiottest fieldbridge/northbound/awsiot/identity \
	fieldbridge/northbound/awsiot/remote fieldbridge/gateway fieldbridge/release \
	fieldbridge/southbound/modbus/setup fieldbridge/southbound/modbus/commission fieldbridge/southbound/modbus/permit \
	fieldbridge/plain fieldbridge/condition fieldbridge/vitals fieldbridge/signed fieldbridge/ledger fieldbridge/bundle \
	github.com/godbus github.com/spf13 go.yaml.in net/http mime crypto/tls crypto/x509 encoding/asn1,-gcflags=$(p)/...=-l) \
	-gcflags=fieldbridge/gateway/recent=
ALIGN   := $(if $(filter amd64 386,$(shell $(GO) env GOARCH)),-funcalign=16)
export CGO_ENABLED ?= 0
# -race needs cgo and a C compiler; with CI=true a missing one is an error.
HAVE_CC := $(shell command -v $${CC:-cc} 2>/dev/null)
ifneq ($(or $(HAVE_CC),$(filter true,$(CI))),)
RACE := CGO_ENABLED=1
RACEFLAG := -race
# A program with the race detector sleeps a second when it ends: each of a hundred
# packages, and each process that a test starts.
export GORACE ?= atexit_sleep_ms=10
endif

.PHONY: npm help run build small fleet fleet-demo pictures test-small test-386 test-previous sizes test lint vuln rooms fuzz mutate bench bench-save bench-diff bench-compare bench-peers bench-store soak sbom packages clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: build ## build, and run the main job here: simulated devices, the gateway, a local cloud
	$(BIN) demo $(ARGS)

build: ## build the static binary bin/fieldbridge
	$(GO) build -trimpath -tags $(TAGS) $(COLD) -ldflags "-s -w $(ALIGN) -X main.version=$(VERSION) -X main.roots=$(FIELDBRIDGE_ROOTS)" -o $(BIN) ./cmd/fieldbridge

small: ## build bin/fieldbridge-small, without demo, cloud, init, fleet, ledger, profiles, page, Sparkplug
	$(GO) build -trimpath -tags small,$(TAGS) -gcflags=all=-l \
		-ldflags "-s -w $(ALIGN:16=8) -X main.version=$(VERSION) -X main.roots=$(FIELDBRIDGE_ROOTS)" -o $(BIN)-small ./cmd/fieldbridge

test-small: ## check what the small build leaves out, and that it says so
	$(GO) vet -tags small ./...
	$(GO) test -tags small -run Small ./cmd/fieldbridge

ROOMS32 = ./bridge ./store/block ./store/books ./store/folder ./store/journal ./store/memory ./store/origins \
	./store/segment ./store/state ./configs/... ./ledger ./southbound/modbus/point ./northbound/awsiot/payload ./socket \
	./budget ./setting
test-386: ## run the tests of what counts, stores and computes with 32 bits; vet for a processor that nobody here has
	@if GOARCH=386 CGO_ENABLED=0 $(GO) test -run '^$$' ./setting > /dev/null 2>&1; then \
		echo "the tests with 32 bits"; GOARCH=386 CGO_ENABLED=0 $(GO) test -short $(ROOMS32); else \
		echo "make test-386: this machine runs no programs of 32 bits: they are vetted alone" >&2; \
		GOARCH=386 CGO_ENABLED=0 $(GO) vet $(ROOMS32); fi
# purego, and with it fieldbridge-p11, is not for mips.
	GOARCH=mipsle GOMIPS=softfloat CGO_ENABLED=0 $(GO) vet $$($(GO) list ./... | grep -v /fieldbridge-p11)

# REV=COMMIT takes that commit for the release before.
REV = $(shell git describe --tags --abbrev=0 2>/dev/null)
test-previous: ## let this program and the last release (REV) take turns at one queue, its journal and its state
	@if [ -z "$(REV)" ]; then echo "make test-previous: there is no release yet, name a commit: REV=..." >&2; else \
		rm -rf bin/previous && mkdir -p bin/previous && git archive $(REV) | tar -x -C bin/previous && \
		(cd bin/previous && $(GO) build -trimpath -o ../fieldbridge-previous ./cmd/fieldbridge) && rm -rf bin/previous && \
		FIELDBRIDGE_PREVIOUS=$(CURDIR)/bin/fieldbridge-previous $(GO) test -count=1 -run '^TestPrevious$$' ./cmd/fieldbridge; fi

sizes: ## print the sizes of both and what each module has in them; fails above their bounds
	$(GO) run ./packaging/sizes

p11: ## build bin/fieldbridge-p11, the helper for PKCS #11 tokens; it needs glibc
	$(GO) build -trimpath -ldflags "-s -w" -o bin/fieldbridge-p11 ./cmd/fieldbridge-p11

fleet: ## build bin/fieldbridge-fleet, the operator's tool
	$(GO) build -trimpath -ldflags "-s -w" -o bin/fieldbridge-fleet ./cmd/fieldbridge-fleet

fleet-demo: ## operate 20 gateways on this machine from a git repository, well and badly, and count what each ran; some minutes
	$(GO) run ./cmd/fieldbridge-fleet/demo $(ARGS)

pictures: ## take the pictures in docs/images anew, with Debian's chromium; some minutes
	PAGE_PICTURES=$(CURDIR)/docs/images $(GO) test -run 'TestPictures$$' -count 1 -v ./cmd/fieldbridge/demo

# make lint vets. Two packages a processor, since many of them wait for other processes; a
# test program without tables for debuggers is linked in less time, and GOGC is the linker's
# alone: what is tested has its own.
test: ## run all tests in random order, with the race detector where there is a C compiler
	GOGC=400 $(RACE) $(GO) test $(RACEFLAG) -exec 'env -u GOGC' -vet=off -ldflags='-s -w' -p $$((1 + $$(getconf _NPROCESSORS_ONLN))) -timeout 25m -shuffle=on ./...

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
npm: ## fetch AWS's own device SDK for JavaScript, a client that tests the stand-in where it is there
	npm install --no-audit --no-fund --prefix bin/npm aws-iot-device-sdk-v2@1.28.0

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

bench-peers: ## Fieldbridge before (OLD) and now, Telegraf, mosquitto, mqmgateway, a bare loop: one table; COUNT=5 takes 2 h
	@bench/scripts/peers.sh $(OLD)

bench-store: ## measure the queue beside a plain synced log
	$(GO) test -run '^$$' -bench 'Commit|Backlog|Encode' -benchmem -timeout 60m -v ./store

SOAK ?= 1000
soak: ## kill, cut the power and break the link SOAK (1000) times; takes an hour
	FIELDBRIDGE_SOAK=$(SOAK) $(RACE) $(GO) test $(RACEFLAG) -timeout 3h -v -run 'Kill|Cut|Soak|Compares|Misbehaves|SlowDisk|Pilot[14]|SomeLengths|LostAnswers|Bad(Devices|AnswerOnce|Mixture)|WhatPymodbusDid|AgainstModel|RandomDamages|Exact|Canaries|Page500' ./store ./store/journal ./store/thin ./bridge/bridgetest ./ledger ./release ./southbound/modbus ./northbound/awsiot ./northbound/awsiot/remote/jobs ./gateway/crashtest ./cmd/fieldbridge ./cmd/fieldbridge/demo ./cmd/fieldbridge-fleet/demo

sbom: build ## write the CycloneDX SBOM and the third-party notices of the binary to bin/
	$(GO) tool -modfile=tools/go.mod cyclonedx-gomod bin -json -output bin/fieldbridge.cdx.json $(BIN)
	$(GO) run ./packaging/notices $(BIN) > bin/THIRD-PARTY-NOTICES.txt

# PROCESSORS=amd64,arm64 makes those alone; SIGN=FILE signs with a secret key of minisign.
packages: ## packages, tarballs, an OCI image, checksums into dist/
	$(GO) run ./packaging/release $(if $(SIGN),--sign $(SIGN)) $(if $(PROCESSORS),--only $(PROCESSORS)) dist

clean: ## remove what was built and what the demo wrote
	rm -rf bin demo dist
