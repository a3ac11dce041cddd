# virt-fsck: see README.md. `make demo` and `make test` do everything on a fresh Debian 12 with a Swift toolchain, as root.

SWIFT   ?= swift
# The Swift runtime is linked in: the program runs where no toolchain is.
RELEASE := -c release --static-swift-stdlib
PREFIX  ?= /usr/local
DESTDIR ?=
# Debian's kernel for the VM of the system tests, unpacked: the host's own /boot is not touched.
VM_KERNEL := .build-vm/kernel

BUILD_PACKAGES := libvirt-dev libxml2-dev libblkid-dev libdevmapper-dev libpng-dev pkg-config
RUN_PACKAGES   := libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils lvm2 dmsetup e2fsprogs dosfstools \
                  xfsprogs ntfs-3g bubblewrap util-linux kmod
TEST_PACKAGES  := fdisk gdisk mount procps udev kmod cpio xz-utils zstd busybox-static initramfs-tools-core grub-pc-bin \
                  libxml2-utils shellcheck time bc python3 acl btrfs-progs mtools mdadm

.PHONY: all deps toolchain build release test test-unit test-vm test-faults test-mutations fuzz demo bench lint format install clean

all: release

## deps: install every Debian package that building, testing and running need (as root)
deps: toolchain
	@missing=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) 2>/dev/null \
	  | sed -n 's/^installed //p' | sort > .deps-installed; \
	  printf '%s\n' $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) | sort -u | comm -23 - .deps-installed; rm -f .deps-installed); \
	if [ -n "$$missing" ]; then \
	  [ "$$(id -u)" = 0 ] || { echo "make deps: run as root, to install:" $$missing >&2; exit 1; }; \
	  echo "installing:" $$missing; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

toolchain:
	@command -v $(SWIFT) >/dev/null || { echo "make: no Swift toolchain found; install Swift 6.3 or later from https://swift.org/install" >&2; exit 1; }
	@version=$$($(SWIFT) --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p'); \
	  printf '%s\n' 6.3 "$$version" | sort -VC || { echo "make: Swift $$version is too old; 6.3 or later is needed" >&2; exit 1; }

## build: debug build of everything, tests included
build: deps
	$(SWIFT) build --build-tests

## release: the program, optimised
release: deps
	$(SWIFT) build $(RELEASE) --product virt-fsck

## test: every test: units, libvirt's test driver, a private libvirtd with real images, and the VM
test: test-unit test-vm

test-unit: build
	Tests/with-failures $(SWIFT) test --skip-build

## fuzz: ten minutes of hostile input for each target, another seed each time
FUZZ_SECONDS ?= 600
FUZZ_SEED    ?= $(shell date +%s)
fuzz: build
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) $(SWIFT) test --skip-build --filter FuzzTests

## test-vm: the tests that need nbd and device-mapper, in a VM whose kernel has them
test-vm: build $(VM_KERNEL)
	Tests/with-failures Tests/SystemTests/VM/run-tests $(VM_KERNEL)

## test-faults: hundreds of kills and power cuts, here and in the VM; `make test` tries a sample of them
test-faults: build $(VM_KERNEL)
	VIRT_FSCK_FAULTS=full Tests/with-failures $(SWIFT) test --skip-build --filter FaultTests
	VIRT_FSCK_FAULTS=full Tests/with-failures Tests/SystemTests/VM/run-tests $(VM_KERNEL) FaultTests

## test-mutations: filesystems damaged at random, eight seeds of each of 13 kinds, by the loss measure and by the whole program;
## `make test` tries one of each
MUTATIONS ?= 8
test-mutations: build
	MUTATIONS=$(MUTATIONS) Tests/with-failures $(SWIFT) test --skip-build --filter MutationTests

$(VM_KERNEL): | deps
	@echo "fetching Debian's kernel for the VM"
	@rm -rf .build-vm && mkdir -p .build-vm/download
	@name=$$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1); \
	  [ -n "$$name" ] || { echo "make: apt knows no linux-image-amd64; run apt-get update" >&2; exit 1; }; \
	  cd .build-vm/download && apt-get download -qq -o APT::Sandbox::User=root "$$name"
	@dpkg-deb -x .build-vm/download/*.deb $(VM_KERNEL) && rm -rf .build-vm/download

## demo: a real guest that no longer boots, repaired by virt-fsck, and booted
demo: release
	VIRT_FSCK=$$($(SWIFT) build $(RELEASE) --show-bin-path)/virt-fsck examples/demo/demo

## bench: what virt-fsck costs beside the bare checker, as ratios in the same run
bench: release
	VIRT_FSCK=$$($(SWIFT) build $(RELEASE) --show-bin-path)/virt-fsck examples/bench/bench

## lint: formatting and shell scripts
lint: deps
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests
	shellcheck .ci/run examples/demo/break-guest examples/demo/demo examples/demo/domain-xml examples/demo/make-guest \
	  examples/demo/wait-for examples/bench/bench Tests/with-failures Tests/SystemTests/VM/run-in-vm Tests/SystemTests/VM/run-tests \
	  libexec/libvirt-hook

## format: let swift-format rewrite the sources
format: toolchain
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests

## install: the program to PREFIX/sbin, and libvirt's hook, which libvirtd sees when it is started the next time
install: release
	install -D -m 755 "$$($(SWIFT) build $(RELEASE) --show-bin-path)/virt-fsck" $(DESTDIR)$(PREFIX)/sbin/virt-fsck
	install -C -D -m 755 libexec/libvirt-hook $(DESTDIR)/etc/libvirt/hooks/qemu.d/virt-fsck

clean:
	rm -rf .build .build-vm
