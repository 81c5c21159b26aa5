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

.PHONY: help run build test lint rooms fuzz bench bench-store soak sbom clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: build ## build, and run the main job here: simulated devices, the gateway, a local cloud
	$(BIN) demo $(ARGS)

build: ## build the static binary bin/fieldbridge
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/fieldbridge

test: ## run all tests, with the race detector where there is a C compiler
	$(RACE) $(GO) test $(RACEFLAG) ./...

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

rooms: ## print the table of the packages: files, lines, comments, tests, knots
	@$(GO) test -count=1 -run '^TestRooms$$' -v . | sed -n 's/^        //p;/^ *rooms_test.go.*:..*[a-z]/p'

FUZZTIME ?= 20s
fuzz: ## run each fuzz test for FUZZTIME (20s)
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

bench: ## run the benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-store: ## measure the queue beside a plain synced log
	$(GO) test -run '^$$' -bench 'Commit|Backlog|Encode' -benchmem -timeout 60m -v ./store

SOAK ?= 1000
soak: ## kill, cut the power and break the link SOAK (1000) times; takes an hour
	FIELDBRIDGE_SOAK=$(SOAK) $(RACE) $(GO) test $(RACEFLAG) -timeout 3h -v -run 'Kill|PowerCut|Soak|Compares' ./store ./northbound/awsiot ./cmd/fieldbridge

sbom: build ## write the CycloneDX SBOM and the third-party notices of the binary to bin/
	$(GO) tool -modfile=tools/go.mod cyclonedx-gomod bin -json -output bin/fieldbridge.cdx.json $(BIN)
	$(GO) run ./packaging/notices $(BIN) > bin/THIRD-PARTY-NOTICES.txt

clean: ## remove what was built and what the demo wrote
	rm -rf bin demo
