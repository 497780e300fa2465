# `make help` lists what there is. Everything that is made lies in .venv and .build; only the demo and the Debian
# packages it names on the way reach further.
SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NEED_ROOT := demo demo-clean test integration integration-older fuzz soak molecule test-connection test-cores test-images test-fleet test-gap test-networks bench
ifneq ($(shell id -u),0)
ifneq ($(filter $(NEED_ROOT),$(MAKECMDGOALS)),)
$(error make $(firstword $(filter $(NEED_ROOT),$(MAKECMDGOALS))) needs root: it makes namespaces and mounts on this host (try: sudo make $(MAKECMDGOALS)))
endif
endif

# The first Python that runs (a pyenv shim may not) and that ansible-core supports.
PYTHON = $(firstword $(foreach python,python3.11 python3 python3.12 python3.13,$(shell $(python) -c \
  'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $(python))))

BUILD := $(CURDIR)/.build
TREE := .build/collections/ansible_collections/linux/namespaces
SCRIPTS := .ci/run docs/site/build molecule/nspawn-instance molecule/networks/files/look tests/guests/run tests/login-tools tests/cores tests/nginx-archive tests/sanity tests/setup-os-packages

# Tools keep their caches and settings in the checkout, not in the home directory.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_HOME := $(BUILD)/ansible
export HYPOTHESIS_STORAGE_DIRECTORY := $(BUILD)/hypothesis
export XDG_CACHE_HOME := $(BUILD)/cache
export VIRTUAL_ENV := $(CURDIR)/.venv

PLAY := ANSIBLE_REMOTE_TMP=$(BUILD)/ansible/tmp ansible-playbook

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: setup
setup: .venv/ready-for-test $(TREE) ## the virtual environment with everything the tests need

OF_DEMO := $(if $(NETWORK),-e @playbooks/vars/network.yml)
.PHONY: demo
demo: .venv/ready-for-demo $(TREE) ## nginx on this host in its own mount namespace and root; NETWORK=1: and network
	@tests/setup-os-packages demo $(if $(NETWORK),networks)
	$(PLAY) linux.namespaces.nginx $(OF_DEMO)
	$(PLAY) linux.namespaces.show $(OF_DEMO)

.PHONY: demo-clean
demo-clean: .venv/ready-for-demo $(TREE) ## remove everything the demo made
	$(PLAY) linux.namespaces.nginx -e nginx_state=absent

PARTS := integration lint docs sanity unit molecule
.PHONY: test
test: setup ## every check and test: lint docs sanity unit integration molecule
	@tests/setup-os-packages headers programs networks rootfs molecule browser
	@$(MAKE) --jobs=2 --keep-going --output-sync=recurse $(PARTS:%=part-%) && echo "== all passed"

# Two at a time, each with its output in one piece at its end.
part-%:
	@before=$$SECONDS; echo "== $*"; \
	$(MAKE) $* && result=passed || result=failed; \
	echo "== $* $$result in $$((SECONDS - before)) s"; [ $$result = passed ]

.PHONY: lint
lint: setup
	ruff check .
	ruff format --check .
	mypy
	PYTHONPATH=plugins/module_utils lint-imports --cache-dir .build/import-linter
	yamllint --strict .
	ansible-lint --offline --strict
	@mkdir -p $(BUILD)/home
	HOME=$(BUILD)/home antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs self .
	antsibull-changelog lint
	shellcheck --external-sources $(SCRIPTS)

.PHONY: docs
docs: setup ## the documentation site: .build/docs/html/index.html
	@ANSIBLE_COLLECTIONS_PATH=$(BUILD)/collections docs/site/build $(BUILD)/docs

.PHONY: schema
schema: setup ## docs/definition.schema.json anew, from the tables of options
	@PYTHONPATH=plugins/module_utils python -B -c \
	  'import json; from _core.options import schema; print(json.dumps(schema.of_file(), indent=2))' > $(BUILD)/schema.json
	@mv $(BUILD)/schema.json docs/definition.schema.json

.PHONY: requirements
requirements: setup ## the section of README.md on what hosts need anew, from the table of nsctl check
	@PYTHONPATH=plugins/module_utils python -B -c 'import pathlib; from _core.facts import host; \
	  readme = pathlib.Path("README.md"); text = readme.read_text(); \
	  before, after = text.partition(host.BEGIN)[0], text.partition(host.END + "\n")[2]; \
	  readme.write_text(before + host.requirements() + after)'

.PHONY: sanity
sanity: setup
	tests/sanity

.PHONY: unit
unit: setup
	pytest tests/unit

# Each of the two has a host of its own: see tests/support/own_host.py.
PYTEST_BY_TWO := pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --quiet

.PHONY: integration
integration: setup
	@tests/setup-os-packages programs networks rootfs browser
	$(PYTEST_BY_TWO) tests/integration
	$(PYTEST_BY_TWO) --older-kernel tests/integration/mount/test_named.py tests/integration/whole/test_plain_user.py
	$(PYTEST_BY_TWO) tests/fuzz

.PHONY: integration-older
integration-older: setup
	@tests/setup-os-packages programs networks rootfs browser
	$(PYTEST_BY_TWO) --older-kernel tests/integration

# How many times as many cases as the part of `make test`; FUZZ_SEED=... tries those of another run again.
FUZZ_TIMES ?= 30
.PHONY: fuzz
fuzz: setup ## odd input wherever it may come from, FUZZ_TIMES=30 times as much as in test: some minutes
	@tests/setup-os-packages programs networks rootfs
	@export FUZZ_TIMES=$(FUZZ_TIMES) FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)}; \
	echo "FUZZ_SEED=$$FUZZ_SEED FUZZ_TIMES=$$FUZZ_TIMES"; \
	$(PYTEST_BY_TWO) tests/fuzz

# SOAK_SEED=... begins with the cases of another run.
SOAK_MINUTES ?= 15
.PHONY: soak
soak: setup ## everything on five names in any order, against a model of what is promised, for SOAK_MINUTES=15
	@tests/setup-os-packages programs networks rootfs
	@export SOAK_MINUTES=$(SOAK_MINUTES) SOAK_SEED=$${SOAK_SEED:-$$(date +%s)}; \
	pytest --quiet -s tests/integration/whole/test_soak.py

.PHONY: molecule
molecule: setup
	@tests/setup-os-packages molecule
	molecule test --no-command-borders

.PHONY: test-fleet
test-fleet: setup ## three booted hosts of three Debian releases, rebooted, crashed and disturbed: some ten minutes
	@tests/setup-os-packages molecule
	molecule test --scenario-name fleet --no-command-borders

# How many times each is done to each service.
GAP_TRIES ?= 20
.PHONY: test-gap
test-gap: setup ## what clients see of services that get another root, GAP_TRIES=20 times under load: some ten minutes
	@tests/setup-os-packages molecule load
	GAP_TRIES=$(GAP_TRIES) molecule test --scenario-name gap --no-command-borders

# The kernel of this machine may lack kinds of interfaces, so most of it is in emulated ones with a stock kernel of Debian.
.PHONY: test-networks
test-networks: setup ## networks of two booted hosts, and kinds of interfaces, also with a stock kernel: 50 minutes
	@tests/setup-os-packages programs networks molecule guests
	molecule test --scenario-name networks --no-command-borders
	TESTHOST_EMULATED=1 molecule test --scenario-name networks --no-command-borders
	@python -m compileall -q plugins tests # once, not in each of the emulated ones
	tests/guests/run env TESTS_PATIENCE=20 .venv/bin/pytest -v tests/integration/link/test_kinds.py tests/integration/link/test_tunnel.py

.PHONY: test-images
test-images: setup ## nginx, redis and PostgreSQL from images of a registry on this host: some minutes
	@tests/setup-os-packages rootfs
	pytest tests/images

.PHONY: test-connection
test-connection: setup ## whole plays inside, over each connection: some minutes
	@tests/setup-os-packages programs molecule
	pytest -s tests/connections
	molecule test --scenario-name inside --no-command-borders

.PHONY: test-cores
test-cores: setup ## the inventory and the connections with each supported ansible-core: some minutes
	tests/cores

.PHONY: bench
bench: setup ## what a task costs, beside ansible.builtin.ping
	@tests/setup-os-packages molecule networks load
	pytest -s tests/bench

.PHONY: clean
clean: ## remove .venv and .build, with the test hosts that may still run
	@for host in .build/testhosts/instances/*/; do \
	  [ ! -d "$$host" ] || molecule/nspawn-instance stop "$$(basename "$$host")" .build/testhosts/instances; \
	done
	rm -rf --one-file-system .venv .build .ansible

# The stamps lie in the environment, so that they go with it. An environment half made is completed.
.venv/ready-for-demo: requirements.txt
	@[ -n "$(PYTHON)" ] || { echo "no Python 3.11 to 3.13 found: install Debian's python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/setup-os-packages venv
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

.venv/ready-for-test: .venv/ready-for-demo tests/requirements.txt
	@echo "installing tests/requirements.txt into .venv"
	@pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	@touch $@

# Ansible and mypy find a collection only below a directory named ansible_collections.
$(TREE):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@
