# The commands of the README. Everything else is a call of one of the programs they install.
PYTHON ?= /usr/bin/python3
PACKAGES = python3-venv python3-dev gcc libc6-dev pkg-config libfuse3-dev fuse3 libseccomp2 runc busybox-static
TEST_PACKAGES = $(PACKAGES) crun docker.io docker-compose iptables gcc-multilib clang libclang-rt-14-dev golang-go lxcfs docker-registry openssl make git procps \
  strace bubblewrap podman python3-psutil htop redis-tools socat

VM_PACKAGES = qemu-system-x86 debootstrap
VM ?= /var/tmp/eci-vm

export DEBIAN_FRONTEND = noninteractive

.PHONY: demo demo-docker test fuzz soak vm bench build build-dev packages packages-test lint

build: packages .venv/installed
build-dev: packages-test .venv/installed-dev

demo: build
	@.venv/bin/python -m demo

demo-docker: build
	@.venv/bin/python -m demo --docker

test: build-dev
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

# Ten minutes for what decides calls in C, and ten for the Docker socket's relay; their results are part of the repository.
fuzz: build-dev
	@.venv/bin/python -m tests.fuzz
	@.venv/bin/python -m tests.fuzz.relay

# Seven minutes: races and storms of signals for as long as they are meant to last.
soak: build-dev
	@.venv/bin/python -m tests.soak

# Five minutes: what needs AppArmor, in a guest with Debian's kernel. Guest and kernel are kept in $(VM).
vm: build-dev
	$(call install,$(VM_PACKAGES))
	@mkdir -p $(VM) && cd $(VM) && { ls linux-image-*.deb >/dev/null 2>&1 || \
	  apt-get -q download $$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p'); }
	@.venv/bin/python -m tests.vm $(VM)/linux-image-*.deb $(VM)

bench: build-dev
	@.venv/bin/python -m bench

lint: build-dev
	@.venv/bin/ruff check . && .venv/bin/mypy && .venv/bin/python native/build.py --strict

# Only what is missing is asked of apt, so that a second run needs no network.
define install
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then apt-get -q update && apt-get -q install -y --no-install-recommends $$missing; fi
endef

packages:
	$(call install,$(PACKAGES))

packages-test:
	$(call install,$(TEST_PACKAGES))

.venv/bin/python:
	$(PYTHON) -m venv .venv

# compat: a path in a .pth file. The other kind of editable install starts every Python of the environment 8 ms later, create and exec too.
.venv/installed: .venv/bin/python pyproject.toml setup.py $(wildcard native/*)
	.venv/bin/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat --editable .
	ln -sf ../../eci_supervisor/bin/eci-runc .venv/bin/eci-runc
	@touch $@

.venv/installed-dev: .venv/installed
	.venv/bin/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat --editable '.[dev]'
	@touch $@
