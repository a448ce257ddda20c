# `make` installs keyctl and mints a first key, `make -s provision-token` prints a new key, `make help` lists all targets.
SHELL := /bin/bash
VENV := .venv
PY = $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PYTHON := $(VENV)/bin/python
# -P: a file in the working directory is never imported. -m: keyutils has a keyctl too
KEYCTL := $(PYTHON) -P -m keyctl
LOCK := .ci/requirements.txt
DEV_LOCK := .ci/requirements-dev.txt
PIP := $(PYTHON) -m pip -q --disable-pip-version-check install --no-compile
# a company's own certificate authority is in the system's list, and not in the one that uv brings
UV := $(VENV)/bin/uv --system-certs
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := all
.PHONY: all provision-token test torture lint format check bench bench-peers completions pictures lock clean help
.PHONY: dist dist-check wheel-check sbom

# --- the variables that describe the key -----------------------------------------------------------------------------
# NAME, OWNER and the others count only on make's command line (WSL sets NAME in every environment) and may contain
# anything. make would export their expansions to every recipe, running a $(shell …) in them: so they are not exported,
# and the recipe that needs one gets its unexpanded text under another name. An empty value is still a value:
# EXPIRES="$UNSET" must be an error, not a key that never expires.
KEY_VARIABLES := NAME OWNER OWNER_KIND ENV SCOPES EXPIRES PROFILE STORE OUT AS REPLACE
unexport $(KEY_VARIABLES) ADMIN_TOKEN
define take
ifeq ($$(origin $(1)),command line)
export KEYCTL_MAKE_$(1) = $$(value $(1))
else
unexport KEYCTL_MAKE_$(1)
endif
endef
$(foreach name,$(KEY_VARIABLES),$(eval $(call take,$(name))))
ifeq ($(origin ADMIN_TOKEN),command line)
$(if $(value ADMIN_TOKEN),,$(error ADMIN_TOKEN is empty: a new store would require no admin token))
export KEYCTL_ADMIN_TOKEN = $(value ADMIN_TOKEN)
endif

ifeq ($(origin REPLACE),command line)
ifneq ($(value REPLACE),yes)
$(error REPLACE takes only yes: it rotates the key that OUT does not hold)
endif
endif

# a misspelt SCOPE= must not become a key with the default scopes
ifeq ($(MAKELEVEL),0)
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
UNKNOWN := $(filter-out $(KEY_VARIABLES) ADMIN_TOKEN VENV PY QUICK -%,$(GIVEN))
$(if $(UNKNOWN),$(error unknown variable: $(UNKNOWN); known: $(KEY_VARIABLES) ADMIN_TOKEN VENV PY QUICK))
endif

# with a file and a name, any number of runs leave one key; a .env file has other lines too
ENSURED = $$(case "$${KEYCTL_MAKE_OUT-}" in \
	.env|.env.*|*/.env|*/.env.*|*.env) \
	  echo --ensure --format=dotenv; [ "$${KEYCTL_MAKE_AS+given}" ] || echo --as=API_KEY;; \
	?*) echo $${KEYCTL_MAKE_NAME+--ensure};; \
	esac)
IN_STORE = $${KEYCTL_MAKE_STORE+--store="$$KEYCTL_MAKE_STORE"}
MINT = $(KEYCTL) mint --init $(IN_STORE) \
	$${KEYCTL_MAKE_PROFILE+--profile="$$KEYCTL_MAKE_PROFILE"} \
	$${KEYCTL_MAKE_NAME+--name="$$KEYCTL_MAKE_NAME"} \
	$${KEYCTL_MAKE_OWNER+--owner="$$KEYCTL_MAKE_OWNER" --create-owner} \
	$${KEYCTL_MAKE_OWNER_KIND+--owner-kind="$$KEYCTL_MAKE_OWNER_KIND"} \
	$${KEYCTL_MAKE_ENV+--env="$$KEYCTL_MAKE_ENV"} \
	$${KEYCTL_MAKE_SCOPES+--scope="$$KEYCTL_MAKE_SCOPES"} \
	$${KEYCTL_MAKE_EXPIRES+--expires="$$KEYCTL_MAKE_EXPIRES"} \
	$${KEYCTL_MAKE_OUT+--out="$$KEYCTL_MAKE_OUT"} \
	$(ENSURED) $${KEYCTL_MAKE_AS+--as="$$KEYCTL_MAKE_AS"} $${KEYCTL_MAKE_REPLACE+--replace}

# an error names these variables, and keyctl where it was installed
all provision-token: export _KEYCTL_MAKE := $(VENV)/bin/keyctl

# --- use -------------------------------------------------------------------------------------------------------------
all: $(VENV)/.ready ## install keyctl, create the store, mint a first key, and suggest what to try next
	@set -e; $(MINT); \
	config=$$($(KEYCTL) config show --json $(IN_STORE)); profile=$$($(KEYCTL) profile show --json $(IN_STORE)); \
	$(PYTHON) -P -c "$$WELCOME" "$$config" "$$profile" >&2

define WELCOME
import json, os, sys
from keyctl.text import visible
config, profile = map(json.loads, sys.argv[1:])
print()
if "KEYCTL_MAKE_OUT" not in os.environ:
    print("The line above is your key. It is shown only once: store it in a safe place.")
print("Store:", config["store"])
if services := profile.get("services", []):
    print("\nAddresses in the profile. keyctl starts none of these services; start them yourself:")
for service in services:
    print(visible(f"  {service['name']}: {service['url']}"))
print("\nTry next:")
for command, use in {
    "$(VENV)/bin/keyctl verify": "paste the key to verify it",
    "$(VENV)/bin/keyctl list": "list the keys of this store",
    "make -s provision-token NAME=laptop": "print another key, and nothing else, to standard output",
    "$(VENV)/bin/keyctl --help": "list all commands",
}.items():
    print(f"  {command:37}{use}")
endef
all: export WELCOME := $(WELCOME)

provision-token: $(VENV)/.ready ## mint another key and print nothing else
	@exec $(MINT)

# --- development -----------------------------------------------------------------------------------------------------
test: $(VENV)/.ready-dev ## run all tests
	@$(PYTHON) -m pytest

torture: $(VENV)/.ready-dev ## run the long tests: crashes, concurrency, faults, fuzzing (about an hour; prints figures)
	@$(PYTHON) -m pytest --torture -o faulthandler_timeout=1200

lint: $(VENV)/.ready-dev ## check style, types, imports and workflows
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports --no-cache --no-logo
	@$(VENV)/bin/actionlint .github/workflows/*.yml

format: $(VENV)/.ready-dev ## format the code and fix what ruff can fix
	@$(PYTHON) -m ruff check --fix --exit-zero .
	@$(PYTHON) -m ruff format .

check: lint test ## run every check that a change must pass

bench: $(VENV)/.ready-dev ## run the benchmarks, as ratios to plain scripts (QUICK=1: in a minute or two)
	@$(PYTHON) -m tests.benchmarks

PEERS := 'keyshield[core,cli]==2.0.1' 'sqlalchemy[asyncio]' aiosqlite 'djangorestframework-api-key==3.1.0' djangorestframework
bench-peers: $(VENV)/.ready-dev ## compare keyctl with keyshield and djangorestframework-api-key, in a separate environment
	@set -e; [ -e .bench/peers/.ready ] || { echo "installing into .bench/peers …"; $(PYTHON) -m venv --clear .bench/peers; \
	  $(UV) pip install -q --python .bench/peers/bin/python $(PEERS) || .bench/peers/bin/python -m pip -q install $(PEERS); \
	  touch .bench/peers/.ready; } >&2; \
	$(PYTHON) -m tests.benchmarks.peers

completions: $(VENV)/.ready-dev ## rebuild the completion scripts for bash, zsh and fish
	@set -e; mkdir -p completions; \
	for shell in bash:keyctl.bash zsh:_keyctl fish:keyctl.fish; do \
	  $(KEYCTL) completion $${shell%:*} > completions/$${shell#*:}; \
	done

pictures: $(VENV)/.ready-dev ## rebuild the README's pictures
	@$(PYTHON) -m tests.pictures

# the run-time lock has hatchling as well, which installs the tree itself
BUILD_REQUIRES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
COMPILE := $(UV) pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'
lock: $(VENV)/.ready-dev ## pin the newest versions of what keyctl and its development need
	@set -eo pipefail; $(PYTHON) -c '$(BUILD_REQUIRES)' | $(COMPILE) -o $(LOCK) pyproject.toml - >/dev/null; \
	$(COMPILE) --extra dev -c $(LOCK) -o $(DEV_LOCK) pyproject.toml >/dev/null

clean: ## remove the environment and everything that was built
	@rm -rf .venv .venv-* dist .bench .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find keyctl tests -name __pycache__ -prune -exec rm -rf {} +

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.* ## (.*)/\1 \2/p' Makefile | while read -r target text; do printf '%-16s %s\n' "$$target" "$$text"; done
	@echo; echo 'Variables of all and provision-token, on the command line: $(KEY_VARIABLES:%=%=…)'

# --- release ---------------------------------------------------------------------------------------------------------
dist: $(VENV)/.ready ## build the wheel and the sdist into dist/
	@rm -rf dist; $(PYTHON) -m hatchling build -d dist >&2

# what was built must depend on the sources alone: not on the folder, file times, file modes, time zone or user
dist-check: dist ## build again from the sdist, elsewhere, and compare byte for byte
	@set -euo pipefail; python="$(abspath $(PYTHON))"; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; umask 077; \
	tar -xmf dist/*.tar.gz -C "$$dir" --strip-components=1 --no-same-permissions; \
	(cd "$$dir"; HOME="$$dir" TZ=Asia/Kathmandu "$$python" -m hatchling build -d again >/dev/null); \
	for file in dist/*; do cmp "$$file" "$$dir/again/$${file#dist/}"; done; \
	echo "built twice, the same bytes: $$(echo dist/*)"

# what a user would get: the newest dependencies, nothing of this tree. $(1): extras, in brackets; $(2): other packages
define user_environment
set -euo pipefail; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; wheel=$$(echo dist/*.whl); \
$(PYTHON) -m venv --without-pip "$$dir/venv"; \
$(UV) pip install -q --python "$$dir/venv/bin/python" "$$wheel$(1)" $(2) \
  || $(PYTHON) -m pip --python "$$dir/venv/bin/python" install -q "$$wheel$(1)" $(2)
endef

wheel-check: $(VENV)/.ready-dev dist ## try the wheel in a clean environment, with another HOME
	@$(call user_environment,,pytest); \
	cd "$$dir"; run() { env -i HOME="$$dir/home" PATH=/usr/bin:/bin LC_ALL=C.UTF-8 "$$dir/venv/bin/$$1" "$${@:2}"; }; mkdir home; \
	run keyctl --help >/dev/null; \
	run apikeyctl --version; \
	run keyctl profile list; \
	key=$$(run keyctl mint); run keyctl verify <<< "$$key"; \
	echo 'def test_a_key_of_the_fixture(keyctl_store): assert keyctl_store.verifier.verify(keyctl_store.mint())' > test_wheel.py; \
	run pytest -q -W error -p no:cacheprovider test_wheel.py

sbom: $(VENV)/.ready-dev dist ## list what an installation consists of, as CycloneDX, in dist/apikeyctl.cdx.json
	@$(call user_environment,[postgres]); version=$$($(PYTHON) -m hatchling version); \
	$(VENV)/bin/cyclonedx-py environment --output-reproducible -o dist/apikeyctl.cdx.json \
	  --pyproject <(sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml) "$$dir/venv/bin/python"

# --- the virtual environment -----------------------------------------------------------------------------------------
# Two states: .ready, with what keyctl needs (75 MB), and .ready-dev, with what development adds (200 MB more). The
# network is used only if a package is missing.
# .ready names the folder that it was made in, since an environment that was moved or copied along with its tree would run
# the other tree's code, and the interpreter behind it, since a newer one under the same name has no packages here.
# Of two first runs at once the second waits for the lock (on pyproject.toml itself: no file to clean up) and finds the
# work done
PLACE := pwd -P; readlink -f $(PYTHON)
IN_PLACE := [ -x $(PYTHON) ] && [ "$$(cat $(VENV)/.ready 2>/dev/null)" = "$$($(PLACE))" ]
ifneq ($(shell $(IN_PLACE) && echo yes),yes)
.PHONY: $(VENV)/.ready
endif
ONE_AT_A_TIME := if command -v flock >/dev/null; then exec 9<pyproject.toml; flock 9; fi

# pip alone: uv would be a larger download than all that it installs here
$(VENV)/.ready: pyproject.toml $(LOCK)
	@exec >&2; set -e; $(ONE_AT_A_TIME); \
	if $(IN_PLACE); then \
	  if [ $@ -nt pyproject.toml ] && [ $@ -nt $(LOCK) ]; then exit; fi; \
	else \
	  python="$(PY)"; \
	  [ "$$python" ] || { echo "keyctl needs Python 3.11 or newer, with venv (on Debian: apt-get install python3-venv)"; exit 1; }; \
	  [ ! -e $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ] || { echo "$(VENV) exists and is not a virtual environment"; exit 1; }; \
	  $$python -m venv --clear $(VENV); \
	fi; \
	echo "installing into $(VENV) …"; \
	$(PIP) --require-hashes -r $(LOCK); \
	$(PIP) --no-deps --no-build-isolation -e .; \
	{ $(PLACE); } > $@

# uv is fast, but it does not read pip's configuration (a company's own index, say), and some platforms do not have it:
# then pip installs the rest. `uv pip sync` would remove keyctl for a moment, and ask the index even with nothing missing
UV_PIN := /^uv==/,/[^\]$$/
$(VENV)/.ready-dev: $(VENV)/.ready $(DEV_LOCK)
	@exec >&2; set -e; $(ONE_AT_A_TIME); \
	if [ $@ -nt $(VENV)/.ready ] && [ $@ -nt $(DEV_LOCK) ]; then exit; fi; \
	echo "installing what development needs into $(VENV) …"; \
	{ $(PIP) --only-binary uv --require-hashes -r <(sed -n '$(UV_PIN)p' $(DEV_LOCK)) \
	  && $(UV) pip install -q --python $(PYTHON) --require-hashes -r $(DEV_LOCK); } 2>/dev/null \
	|| { echo "uv cannot install here: using pip, which takes longer"; \
	  $(PIP) --require-hashes -r <(sed '$(UV_PIN)d' $(DEV_LOCK)); }; \
	touch $@
