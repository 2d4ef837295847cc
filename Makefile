# Every target works on a fresh machine that has Go (and, for some tests, what
# `make tools` installs). Nothing is written outside this folder but Go's caches,
# temporary folders and, in `make tools`, Debian packages.

GO      ?= go
BIN     := bin/offsite
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Leaves the parts of gRPC out that the client of Google Cloud Storage needs only
# for its other transport, which offsite does not use: 13 MB less to carry.
TAGS    := disable_grpc_modules

.PHONY: build demo test check lint tools bench bench-retention bench-detect fuzz live wine cross clean

build:
	@CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/offsite

# How many practice years of the simulator belong to every test.
CI_YEARS ?= 2000

# The main job, end to end, in one folder that it names.
demo: build
	@$(BIN) demo

# Everything that must hold: formatting, linters, all tests with the race
# detector, builds for every system; and at their full size, which the race detector
# makes ten times slower, the program's heaviest tests, the thief (with what each
# attack was answered), the bad lines, and the simulator with every planted bug.
test: tools lint
	$(GO) test -race -timeout 20m ./...
	$(GO) test -run 'Killed|Sparse|Real|Readme|Passphrase|Scripts/demo' ./cmd/offsite
	$(GO) test -v -run 'Thief|BadLine' ./providers/s3 ./providers/gcs/gcsadmin ./providers/azure
	@$(MAKE) --no-print-directory sim YEARS=$(CI_YEARS)
	@$(MAKE) --no-print-directory cross TARGETS='windows/amd64 darwin/arm64'

# The programs that the tests use and Go does not bring, if apt-get is there.
tools:
	@./.ci/tools

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt would change these files'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Throughput, memory, stored bytes; takes about two minutes and 8 GiB of disk.
bench: build
	$(GO) run ./cmd/bench -offsite $(BIN)

# What retention keeps beyond need, and how many leases it raises, over three years of
# a practice; fails if either is more than promised, and takes about a minute.
bench-retention:
	$(GO) run ./cmd/bench -retention

# How well the checks tell good backups from bad ones: a year for each layout, with
# real files from the folders in CORPUS, separated by commas. Takes about 40 minutes of
# one processor and 2 GiB of disk; DETECT='-days 66 -every 21' makes it short,
# DETECT='-dir /dev/shm' spares the disk.
DETECT ?=
CORPUS ?=
bench-detect:
	$(GO) run ./cmd/benchdetect -corpus '$(CORPUS)' $(DETECT)

# Many years of a practice in virtual time, and every planted bug, which must be
# found. FROM=n takes other practices; SEED=n shows the last days of one instead.
YEARS ?= 2000
FROM  ?= 1
SEED  ?=
sim:
ifeq ($(SEED),)
	$(GO) test -count=1 -timeout 2h -v -run '^(TestManyYears|TestPlantedBugsAreFound)$$' ./uploader/simtest -args -sim.many $(YEARS) -sim.seed $(FROM)
else
	$(GO) test -count=1 -v -run '^TestYears$$' ./uploader/simtest -args -sim.seed $(SEED) -sim.only
endif

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

# What only real accounts can show. Each test says which environment variable names
# its bucket, and is left out without it; see providers/CONTRACT.md.
live:
	$(GO) test -count=1 -timeout 60m -run '^TestLive' -v ./providers/...

# The tests that are about Windows, under Wine; installs it where it is missing.
wine:
	@GO=$(GO) ./.ci/wine

# The systems that practices run; `make test` builds one of each kind.
TARGETS ?= linux/amd64 linux/arm64 windows/amd64 windows/arm64 darwin/amd64 darwin/arm64
cross:
	@set -e; for t in $(TARGETS); do \
	  echo "build and vet $$t"; export CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/}; \
	  $(GO) build -tags '$(TAGS)' -o /dev/null ./cmd/offsite; $(GO) vet ./...; \
	done

clean:
	rm -rf bin demo
