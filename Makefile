# Everything that can be done with the project. Each target does the set-up that it needs; logs go to build/.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# What npm writes last: it is there exactly if the packages are.
SETUP := node_modules/.package-lock.json
BUILD := build/.stamp
BIN := node_modules/.bin
# The part in C, beside the bundle.
NATIVE := build/dmgw-native.node
SOURCES := $(shell find firmware scripts -name '*.ts') tsup.config.ts package.json tsconfig.json
TESTS := $(shell find firmware scripts -name '*.test.ts' | sort)

# Tests, harnesses and tools run as JavaScript that is transpiled at once, with what lies beside it: a loader in each of their
# several hundred processes takes longer than most tests.
SCRIPTS := build/js
TRANSPILED := $(SCRIPTS)/.stamp
BESIDE := $(shell find board firmware scripts -type f ! -name '*.ts')

# Tests flush as the gateway does, which is most of their time on a disk: they write into memory where it has room. Those
# that need a disk's ways have a shim or a mount of their own.
TEST_TMPDIR ?= $(shell [ -w /dev/shm ] && [ "$$(df -Pk /dev/shm | awk 'END { print $$4 }')" -gt 2000000 ] \
  && echo /dev/shm || echo "$${TMPDIR:-/tmp}")

# Certificates that a machine adds are read by each start of Node.js, also of a bare one: 80 ms and 1.2 MB that no router has.
RUN := env -u NODE_EXTRA_CA_CERTS node

# Two at a time: the tests wait more than they compute, and those of the whole flow start several processes each.
TEST_CONCURRENCY ?= 2

.PHONY: help setup build demo test firmware reproducible package size test-board test-node fuzz torture powercut bench-dm bench-large-object bench-fanout bench-serve bench-lan bench-download typecheck lint format docs stack-proof clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(SETUP) ## system packages (through apt, where possible) and npm packages

$(SETUP): package-lock.json
	@scripts/setup.sh
	@touch $@

build: $(BUILD) ## the daemon build/dmgw.cjs, compiled as an installed one, and the lab in build/lab/

$(NATIVE): $(wildcard firmware/native/*.c firmware/native/*.h) scripts/native.sh $(SETUP)
	@mkdir -p build
	@scripts/native.sh $@

$(BUILD): $(SETUP) $(SOURCES) $(NATIVE)
	@{ $(BIN)/tsup && $(RUN) build/dmgw.cjs compile; } >build/build.log 2>&1 || { cat build/build.log >&2; exit 1; }
	@touch $@

$(TRANSPILED): $(SETUP) $(SOURCES) $(BESIDE) $(NATIVE)
	@rm -rf $(SCRIPTS)
	@$(BIN)/esbuild $(filter %.ts,$(filter firmware/% scripts/%,$(SOURCES))) \
	  --outdir=$(SCRIPTS) --outbase=. --format=esm --platform=node --target=node20 --sourcemap --log-level=warning
	@cp --parents $(BESIDE) $(SCRIPTS)
	@cp $(NATIVE) $(SCRIPTS)/firmware/native/
	@touch $@

demo: $(BUILD) ## the nine steps on this machine; BOARD=name IMAGE=path DEVICES=n MDNS=1 LOSS=% SLEEPERS=% MOVES=n DUPLICATES=1 WAN_RATE=bytes/s CUTS=n CGROUP_MB=n NODE_FLAGS=...
	@$(RUN) build/lab/demo.js

test: $(BUILD) $(TRANSPILED) ## all tests, or those of TESTS='path ...'
	@: >build/test.log; : >build/test.tap
	@TMPDIR=$(TEST_TMPDIR) timeout -k 10 900 $(RUN) --enable-source-maps --test --test-timeout=300000 --test-concurrency=$(TEST_CONCURRENCY) \
	  --test-reporter=spec --test-reporter-destination=build/test.log \
	  --test-reporter=tap --test-reporter-destination=build/test.tap $(TESTS:%.ts=$(SCRIPTS)/%.js) >build/test.err 2>&1 </dev/null \
	  || { sed -n '/failing tests:/,$$p' build/test.log | head -n 300; tail -n 8 build/test.tap; cat build/test.err; \
	       echo 'all of it: build/test.log'; exit 1; } >&2
	@tail -n 8 build/test.tap

fuzz: $(TRANSPILED) ## any number of inputs for the DM client: N=inputs SEED=number
	@$(RUN) $(SCRIPTS)/scripts/fuzz/main.js

torture: $(BUILD) $(TRANSPILED) ## kills the gateway at random moments while images come in; ROUNDS=kills SEED=number
	@$(RUN) $(SCRIPTS)/scripts/torture/main.js

powercut: $(TRANSPILED) ## cuts the power under database and images, on a shim that drops what was not flushed; ROUNDS=cuts
	@$(RUN) $(SCRIPTS)/scripts/fault/powercut.js

bench-dm: $(BUILD) ## messages per second through the DM client, and its memory; NODE_FLAGS=...
	@$(RUN) build/bench/dm.js

bench-large-object: $(BUILD) ## an image as one large object, and the memory that it takes; MIB=64 MESSAGE_KIB=16 ENCODINGS='xml wbxml'
	@$(RUN) build/bench/large-object.js

bench-fanout: $(BUILD) ## notifications for 10,000 devices beside a bare dgram loop, and their memory; DEVICES=n ROUNDS=n NODE_FLAGS=...
	@$(RUN) build/bench/fanout.js

bench-serve: $(BUILD) ## the image server beside nginx, lighttpd and busybox; SIZE=256 ROUNDS=3 RETRIEVAL=1024 CASES='transfers memory cut-through cold start'
	@$(RUN) build/bench/serve.js

bench-lan: $(BUILD) ## the nine steps in network namespaces, WAN 20 and LAN 200 Mbit/s, beside every device over the WAN; needs root; SIZE=MiB DEVICES=n
	@scripts/setup.sh tools iproute2 tc
	@$(RUN) build/bench/lan.js

bench-download: $(BUILD) ## the downloader beside curl and aria2c, from nginx; SIZE=MiB RUNS=n FOLDER=path SIDE_BY_SIDE='2 4' NODE_FLAGS=...
	@scripts/setup.sh tools nginx-light nginx curl curl aria2 aria2c
	@$(RUN) build/bench/download.js

typecheck: $(SETUP) ## the types of all sources
	@$(BIN)/tsc --noEmit

lint: $(SETUP) ## style, who may import whom, formatting
	@npm run --silent lint

format: $(SETUP) ## formats all sources
	@npm run --silent format

docs: $(TRANSPILED) ## writes what is generated from the sources: board/schema.json, tables in README.md
	@node --enable-source-maps $(SCRIPTS)/scripts/docs.js

# For a board: BOARD=name, one of the folders in board/.
BOARD ?= dev
BOARD_TOOL := node --enable-source-maps $(SCRIPTS)/scripts/board/main.js

firmware: $(BUILD) $(TRANSPILED) ## the bundle and the addons for BOARD=name, with manifest and SBOM; OPENWRT_SDK=folder for openwrt-*
	@nice $(BOARD_TOOL) firmware $(BOARD)

reproducible: $(BUILD) $(TRANSPILED) ## builds the firmware of BOARD=name twice and compares the bytes
	@nice $(BOARD_TOOL) reproducible $(BOARD)

package: $(BUILD) $(TRANSPILED) ## the packages of BOARD=name (.ipk, and .apk where apk is there)
	@nice $(BOARD_TOOL) package $(BOARD)

size: $(BUILD) $(TRANSPILED) ## bundle, package, memory and start of BOARD=name beside their targets; JSON=1 for scripts
	@$(BOARD_TOOL) size $(BOARD) $(if $(JSON),--json)

test-board: $(BUILD) $(TRANSPILED) ## what was built for BOARD=name runs under qemu-user: unit tests, nine steps, kills; QUICK=1
	@$(BOARD_TOOL) test $(BOARD) $(if $(QUICK),--quick)

test-node: $(SETUP) ## all tests on another Node.js of this machine: NODE=22 or 24; TESTS=files
	@scripts/board/test-node.sh $(NODE)

stack-proof: ## Node.js 22 and 24 on this machine, armv7 and aarch64 under qemu: all that runs elsewhere
	@$(MAKE) test-board BOARD=debian-arm64
	@$(MAKE) test-board BOARD=debian-armhf
	@$(MAKE) test-node NODE=22
	@$(MAKE) test-node NODE=24

clean: ## removes what was built; keeps node_modules/
	@rm -rf build
