# SPDX-License-Identifier: Apache-2.0
# A front door for Meson: every line here is a command you could type yourself. `make help` explains.
BUILD ?= build
WERROR ?= true
MESON ?= meson
TESTS ?=
ROUNDS ?=
STORM ?=
PREFIX ?= /usr/local
tests_run = BUILD=$(BUILD) tests/run

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(NINJAFLAGS)

# NO_DEPS=1 looks for nothing and installs nothing.
deps-%:
	@$(if $(NO_DEPS),:,scripts/install-deps $*)

$(BUILD)/build.ninja: | deps-build
	$(MESON) setup $(BUILD) --prefix=$(PREFIX) -Dwerror=$(WERROR) $(MESON_OPTIONS)

demo: deps-demo all
	@scripts/demo $(BUILD)/cstorage

test: deps-test all
	@$(tests_run) $(TESTS)

# Everything again with the address, undefined-behaviour and thread sanitizers looking on.
test-asan: deps-test
	@$(MAKE) --no-print-directory all BUILD=$(BUILD)-asan MESON_OPTIONS='-Db_sanitize=address,undefined -Db_lundef=false'
	@BUILD=$(BUILD)-asan SLICE=1 LIMIT=3600 tests/run $(or $(TESTS),unit cli vectors fuzz interop)
	@$(MAKE) --no-print-directory all BUILD=$(BUILD)-tsan MESON_OPTIONS='-Db_sanitize=thread -Db_lundef=false'
	@BUILD=$(BUILD)-tsan UNIT_TESTS='pool deflate unpack api public' tests/run unit

test-crash: deps-test all
	@BUILD=$(BUILD) CRASH=full tests/run crash

test-powercut: deps-test all
	@BUILD=$(BUILD) CRASH=powercut tests/run crash

# TREES: more Debians (see test-bare), with container tools installed in them that are driven here after those of this one.
test-peers: deps-peers all
	@result=0; for tree in here $(TREES); do \
		tools=; \
		[ $$tree = here ] || tools=$$(tests/interop/peer $$tree $(BUILD)/peers/$$tree) || exit 1; \
		env $$tools tests/interop/versions; \
		env $$tools ROUNDS=$(or $(ROUNDS),500) STORM=$(or $(STORM),600) $(tests_run) interop || result=1; \
	done; exit $$result

# make test-bare TREES="/var/tmp/deb12 /var/tmp/deb13": the folders are made if they are not there (root, network).
test-bare:
	@tests/bare $(or $(TREES),$(error say where: make test-bare TREES="/var/tmp/deb12 /var/tmp/deb13"))

test-platforms: deps-platforms all
	@$(tests_run) platforms

fuzz: deps-fuzz
	@tests/fuzz/fuzz

bench: deps-bench all
	@bench/run

# A built tree is installed as it is: `sudo make install` neither looks for packages nor builds as root what is up to date.
install: all
	$(MESON) install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

dist: all
	$(MESON) dist -C $(BUILD) --no-tests

clean:
	rm -rf $(BUILD) $(BUILD)-fault $(BUILD)-careless $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz

help:
	@sed 's/^  //' scripts/make-help

.PHONY: all demo test test-asan test-crash test-powercut test-peers test-bare test-platforms fuzz bench install dist clean help
