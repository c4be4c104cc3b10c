# SPDX-License-Identifier: Apache-2.0
# A front door for Meson: every line here is a command you could type yourself. `make help` explains.
BUILD ?= build
MESON ?= meson
TESTS ?=
ROUNDS ?=
STORM ?=
tests_run = BUILD=$(BUILD) tests/run

# A clone is a developer's: warnings are errors, and what tests and demo lack is installed. A release has no .git: whoever builds it, with
# whatever compiler, gets a program, and nothing is installed.
clone := $(wildcard .git)
NO_DEPS ?= $(if $(clone),,1)
# What is named here, in the environment or on the command line, changes a build folder that exists, too; all else stays as it is there.
PREFIX ?=
WERROR ?=
options = $(if $(PREFIX),-Dprefix=$(PREFIX)) $(if $(WERROR),-Dwerror=$(WERROR)) $(MESON_OPTIONS)

all: $(BUILD)/build.ninja
	@$(if $(strip $(options)),MESON='$(MESON)' scripts/reconfigure $(BUILD) $(options))
	@ninja -C $(BUILD) $(NINJAFLAGS)

$(BUILD)/build.ninja:
	$(MESON) setup $(BUILD) -Dwerror=$(if $(clone),true,false) $(options) || \
		{ echo 'make: what is missing is in README.md, Building; on Debian: scripts/install-deps build' >&2; exit 1; }

# NO_DEPS=1 looks for nothing and installs nothing.
deps-%:
	@$(if $(NO_DEPS),:,scripts/install-deps $*)

# Packages first, under make -j as well.
ready-%: deps-%
	@$(MAKE) --no-print-directory all

demo: ready-demo
	@scripts/demo $(BUILD)/cstorage

test: ready-test
	@$(tests_run) $(TESTS)

# The rules of the house (scripts/lint tells them).
lint: all
	@scripts/lint $(BUILD)

# Everything again with the address, undefined-behaviour and thread sanitizers looking on.
test-asan: deps-test
	@$(MAKE) --no-print-directory all BUILD=$(BUILD)-asan MESON_OPTIONS='-Db_sanitize=address,undefined -Db_lundef=false'
	@BUILD=$(BUILD)-asan SLICE=1 LIMIT=3600 tests/run $(or $(TESTS),unit cli vectors fuzz interop)
	@$(MAKE) --no-print-directory all BUILD=$(BUILD)-tsan MESON_OPTIONS='-Db_sanitize=thread -Db_lundef=false'
	@BUILD=$(BUILD)-tsan UNIT_TESTS='pool deflate zstd_writer tarsplit unpack api api_reading public index_threads' tests/run unit

test-crash: ready-test
	@BUILD=$(BUILD) CRASH=full tests/run crash

test-drivers: ready-test
	@DRIVER=full $(tests_run) driver

test-powercut: ready-test
	@BUILD=$(BUILD) CRASH=powercut tests/run crash

# POINTS, FS, EVERY: see tests/vm/run. It fetches a kernel, and installs none.
test-vm: ready-vm
	@$(if $(POINTS),POINTS=$(POINTS)) $(if $(FS),FS=$(FS)) $(if $(EVERY),EVERY=$(EVERY)) LIMIT=14400 $(tests_run) vm

# TREES: more Debians (see test-bare), with container tools installed in them that are driven here after those of this one.
test-peers: ready-peers
	@result=0; for tree in here $(TREES); do \
		tools=; \
		[ $$tree = here ] || tools=$$(tests/interop/peer $$tree $(BUILD)/peers/$$tree) || exit 1; \
		env $$tools tests/interop/versions; \
		env $$tools ROUNDS=$(or $(ROUNDS),500) STORM=$(or $(STORM),600) $(tests_run) interop || result=1; \
	done; exit $$result

# make test-bare TREES="/var/tmp/deb12 /var/tmp/deb13": the folders are made if they are not there (root, network).
test-bare:
	@tests/bare $(or $(TREES),$(error say where: make test-bare TREES="/var/tmp/deb12 /var/tmp/deb13"))

test-platforms: ready-platforms
	@$(tests_run) platforms

fuzz: deps-fuzz
	@tests/fuzz/fuzz

bench: ready-bench
	@OUT=$(BUILD)/bench bench/run

# A built tree is installed as it is: `sudo make install` does not build as root what is up to date.
install: all
	$(MESON) install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
	@$(if $(DESTDIR),,scripts/after-install $(BUILD))

dist: $(BUILD)/build.ninja
	$(MESON) dist -C $(BUILD) --no-tests

clean:
	rm -rf $(BUILD) $(BUILD)-fault $(BUILD)-careless $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz

help:
	@sed 's/^  //' scripts/make-help

.PHONY: all demo test lint test-asan test-crash test-drivers test-powercut test-vm test-peers test-bare test-platforms fuzz bench install dist clean help
