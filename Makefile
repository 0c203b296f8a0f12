# Hospes: `make help` lists what people type. Everything that is built lands in build/.
B       := build
ARCH    := x86_64
CC      := $(CROSS_COMPILE)gcc
LD      := $(CROSS_COMPILE)ld
OBJCOPY := $(CROSS_COMPILE)objcopy
NM      := $(CROSS_COMPILE)nm
NASM    := nasm
DEBUG   ?= 0
VERSION := 0.1
# V=1 shows whole commands
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-8s%s\n' $(1) $@)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# --- flags -----------------------------------------------------------------------------------------------
# Xen's public headers are reached through build/include, so that no header of the build machine's C library is.
GCC_INCLUDE   = $(shell $(CC) -print-file-name=include)
COMMON_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow \
    -Wno-missing-field-initializers -ffreestanding -nostdinc -isystem $(GCC_INCLUDE) -isystem $(B)/include -Ilib/include -D__XEN_TOOLS__ \
    -fno-strict-aliasing -fno-pic -fno-pie -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
    -fcf-protection=none -ffunction-sections -fdata-sections -mno-red-zone -mgeneral-regs-only -MMD -MP
HV_CFLAGS     = $(COMMON_CFLAGS) -mcmodel=kernel -fstack-protector-strong -mstack-protector-guard=global \
    -mindirect-branch=thunk-extern -mindirect-branch-register -fno-jump-tables -Wframe-larger-than=1024 \
    -DHV_DEBUG=$(DEBUG) -DHOSPES_VERSION='"$(VERSION)"' -Ihv/include -Iarch/$(ARCH)/include
HV_LDFLAGS    = -nostdlib -z max-page-size=4096 -z noexecstack --gc-sections -T linker.ld
# A kernel that runs as a domain: dom0 and the test guests.
PVH_CFLAGS    = $(COMMON_CFLAGS) -mcmodel=small -fstack-protector-strong -mstack-protector-guard=global \
    -Ipvh/include -Idom0/include -Idrivers/include

# --- sources: a new file in one of these folders is built without a word here ---------------------------------
HV_DIRS   = boot hv arch/$(ARCH) arch/$(ARCH)/guest arch/$(ARCH)/vmx arch/$(ARCH)/svm drivers/platform lib
PVH_DIRS  = pvh lib
DOM0_DIRS = dom0/kernel dom0/store dom0/tool drivers/pv drivers/io
sources   = $(foreach d,$(1),$(wildcard $(d)/*.c $(d)/*.asm))
objects   = $(patsubst %,$(B)/$(1)/%.o,$(2))

HV_SRC    = $(filter-out %/offsets.c,$(call sources,$(HV_DIRS)))
HV_OBJ    = $(call objects,hv,$(HV_SRC))
PVH_OBJ   = $(call objects,pvh,$(call sources,$(PVH_DIRS)))
DOM0_OBJ  = $(call objects,pvh,$(call sources,$(DOM0_DIRS)))
FRONT_OBJ = $(call objects,pvh,$(call sources,drivers/pv/front))
GUESTS    = $(patsubst tests/guest/%.c,$(B)/guest/%,$(wildcard tests/guest/*.c))

.PHONY: all help clean format
all: $(B)/hospes $(B)/hospes32 $(B)/dom0 $(GUESTS)
# The same hypervisor with its checks of locks and ownership, for the tests that put it under stress.
.PHONY: debug
debug:
	@$(MAKE) --no-print-directory B=$(B)/debug DEBUG=1 $(B)/debug/hospes $(B)/debug/hospes32

$(B)/include/xen:
	@test -e /usr/include/xen/xen.h || { echo "Xen's public headers are missing: apt-get install libxen-dev"; exit 1; }
	@mkdir -p $(B)/include && ln -sfn /usr/include/xen $@

# --- the hypervisor --------------------------------------------------------------------------------------------
$(B)/hv/%.c.o: %.c | $(B)/include/xen
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(HV_CFLAGS) -c -o $@ $<

$(B)/hv/%.asm.o: %.asm $(B)/hv/offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -g -F dwarf -Werror -I$(B)/hv/ -MD $(@:.o=.d) -o $@ $<

$(B)/hv/offsets.inc: arch/$(ARCH)/offsets.c | $(B)/include/xen
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)$(CC) $(HV_CFLAGS) -MF $(B)/hv/offsets.d -MT $@ -S -o $(B)/hv/offsets.s $<
	$(Q)sed -n 's/^.*@@\([A-Za-z0-9_]*\) \$$*\(-*[0-9]*\).*/%define \1 \2/p' $(B)/hv/offsets.s > $@

# Linked twice: the first pass gives the addresses for the table of function names that backtraces print.
$(B)/hv/symbols0.c: scripts/symbols.sh
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)scripts/symbols.sh < /dev/null > $@
$(B)/hospes.pass1: $(HV_OBJ) $(B)/hv/symbols0.c linker.ld
	$(call say,LD)
	$(Q)$(CC) $(HV_CFLAGS) -c -o $(B)/hv/symbols0.o $(B)/hv/symbols0.c
	$(Q)$(LD) $(HV_LDFLAGS) -o $@ $(HV_OBJ) $(B)/hv/symbols0.o
$(B)/hospes: $(B)/hospes.pass1 scripts/symbols.sh linker.ld
	$(call say,LD)
	$(Q)$(NM) -n $< | scripts/symbols.sh > $(B)/hv/symbols1.c
	$(Q)$(CC) $(HV_CFLAGS) -c -o $(B)/hv/symbols1.o $(B)/hv/symbols1.c
	$(Q)$(LD) $(HV_LDFLAGS) -o $@ $(HV_OBJ) $(B)/hv/symbols1.o
# The same once more with a valid multiboot 1 header, -(0x1badb002 + 3), which QEMU accepts in a 32-bit file only.
$(B)/hospes32: $(B)/hospes
	$(call say,LD)
	$(Q)$(LD) $(HV_LDFLAGS) --defsym=multiboot1_checksum=0xe4524ffb -o $@.elf64 $(HV_OBJ) $(B)/hv/symbols1.o
	$(Q)$(OBJCOPY) -O elf32-i386 --strip-debug $@.elf64 $@

# --- kernels that run as domains -----------------------------------------------------------------------------------
$(B)/pvh/%.c.o: %.c | $(B)/include/xen
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(PVH_CFLAGS) -c -o $@ $<

$(B)/pvh/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -g -F dwarf -Werror -MD $(@:.o=.d) -o $@ $<

$(B)/dom0: $(PVH_OBJ) $(DOM0_OBJ) pvh/linker.ld
	$(call say,LD)
	$(Q)$(LD) -nostdlib -z max-page-size=4096 --gc-sections -T pvh/linker.ld -o $@ $(PVH_OBJ) $(DOM0_OBJ)

$(B)/guest/tiny $(B)/guest/spin: BASE = --defsym=pvh_base=0x100000
$(B)/guest/%: $(B)/pvh/tests/guest/%.c.o $(PVH_OBJ) $(FRONT_OBJ) pvh/linker.ld
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD) -nostdlib -z max-page-size=4096 --gc-sections $(BASE) -T pvh/linker.ld -o $@ $< $(PVH_OBJ) $(FRONT_OBJ)

# What is measured (scripts/bench.py) are guests like those of the tests.
BENCH_OBJ = $(call objects,pvh,$(call sources,tests/bench/common))
$(B)/pvh/tests/bench/%: PVH_CFLAGS += -Itests/bench
$(B)/bench/%: $(B)/pvh/tests/bench/%.c.o $(BENCH_OBJ) $(PVH_OBJ) $(FRONT_OBJ) pvh/linker.ld
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD) -nostdlib -z max-page-size=4096 --gc-sections -T pvh/linker.ld -o $@ $< $(BENCH_OBJ) $(PVH_OBJ) $(FRONT_OBJ)

# --- unit tests: the real sources on the host -----------------------------------------------------------------------
# A test's first lines name what it is linked with: /* sources: a.c b.c */ and, if needed, /* cflags: -DX */.
UNIT        = $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
UNIT_CFLAGS = -std=gnu11 -O1 -g -Wall -Wextra -Werror -Wno-missing-field-initializers -fno-strict-aliasing \
    -fno-omit-frame-pointer -D__XEN_TOOLS__ \
    -fsanitize=address,undefined -fno-sanitize-recover=all -DHV_DEBUG=1 -Itests/unit/fake -Ihv/include -Ipvh/include \
    -Idom0/include -Idrivers/include -Ilib/include
unit_says   = $(shell awk '/^\/\* $(1): / { on = 1; sub(/^\/\* $(1): /, "") } \
    on { end = sub(/\*\/.*/, ""); sub(/^ \* /, ""); print; if (end) exit } NR == 9 { exit }' $(2))
HEADERS     = $(shell find . -name '*.h' -not -path './$(B)/*')

.SECONDEXPANSION:
$(B)/unit/%: tests/unit/%.c tests/unit/host.c $$(call unit_says,sources,tests/unit/$$*.c) $(HEADERS)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)gcc $(UNIT_CFLAGS) $(call unit_says,cflags,$<) -o $@ $(filter %.c,$^) -lcmocka

# Fuzz targets say their sources in the same way; tests/fuzz/driver.c feeds them.
FUZZ        = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/driver.c tests/unit/host.c $$(call unit_says,sources,tests/fuzz/$$*.c) $(HEADERS)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)gcc $(UNIT_CFLAGS) $(call unit_says,cflags,$<) -o $@ $(filter %.c,$^) -lcmocka

# --- what is booted --------------------------------------------------------------------------------------------------
# FILES="my.cfg my-kernel" puts more files into the archive that dom0 reads.
CACHE      ?= build/cache
GUEST_FILES = $(CACHE)/guest/vmlinux $(CACHE)/guest/ramdisk
$(GUEST_FILES) &: scripts/guest.sh scripts/trim-elf.py scripts/archive.sh
	$(Q)scripts/guest.sh $(CACHE)/guest
	@touch $(GUEST_FILES)
# The guests' root file system belongs to the kernel that is in that package.
ROOTFS_FILES = $(addprefix $(CACHE)/rootfs/,disk.img initrd grub)
$(CACHE)/guest/kernel.deb: | $(GUEST_FILES) ;
$(ROOTFS_FILES) &: scripts/rootfs.sh $(CACHE)/guest/kernel.deb
	$(Q)scripts/rootfs.sh $(CACHE)/rootfs $(CACHE)/guest
# What guests write stays in it; without it the next one is as it was at first.
$(B)/disk.img: | $(CACHE)/rootfs/disk.img
	$(call say,COPY)
	$(Q)cp --sparse=always $(CACHE)/rootfs/disk.img $@
$(B)/archive.cpio: $(wildcard dom0/archive/*) $(GUEST_FILES) $(filter-out %/disk.img,$(ROOTFS_FILES)) $(FILES) scripts/archive.sh
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)scripts/archive.sh $@ $(filter-out scripts/%,$^)
# Made anew each time: the command line is in it.
.PHONY: $(B)/hospes.iso
$(B)/hospes.iso: $(B)/hospes $(B)/dom0 $(B)/archive.cpio scripts/iso.sh
	$(call say,GEN)
	$(Q)scripts/iso.sh $@ 'com1=115200,8n1 console=com1,vga dom0_mem=$(DOM0_MEM) $(CMDLINE)' $(B)/hospes $(B)/dom0 $(B)/archive.cpio

# --- people ----------------------------------------------------------------------------------------------------------
# ACCEL=tcg|kvm VENDOR=amd|intel SMP=cpus MEM=MiB DOM0_MEM=size CMDLINE='more words' FIRMWARE=bios|uefi
# DISK=virtio|ahci|nvme|none (how build/disk.img hangs on the machine) NIC=virtio|e1000e|none
# MORE='...' more words for scripts/run.py, e.g. '--disk FILE,driver=nvme --forward 2222:22'
ACCEL ?= tcg
VENDOR ?= amd
SMP ?= 1
MEM ?= 1024
DOM0_MEM ?= 128M
FIRMWARE ?= bios
DISK ?= virtio
NIC ?= virtio
MORE ?=
RUN = scripts/run.py --build $(B) --accel $(ACCEL) --smp $(SMP) --mem $(MEM) --dom0-mem $(DOM0_MEM) --cmdline '$(CMDLINE)' --nic $(NIC)
DISK_FILE = $(if $(filter-out none,$(DISK)),$(B)/disk.img)
RUN_QEMU  = $(RUN) $(DISK_FILE:%=--disk %,driver=$(DISK)) $(MORE)

PYTEST = /usr/bin/python3 -m pytest -q --tb=short -p no:cacheprovider --build=$(B)

.PHONY: bench bench-docs scale bench-profile unit test stress soak setup run run-bochs iso run-iso run-xen
setup: ## install what the build and the tests need
	@scripts/setup.sh
run: setup all $(B)/archive.cpio $$(DISK_FILE) ## boot in QEMU, or with VENDOR=intel in Bochs
	@$(if $(filter tcg-intel,$(ACCEL)-$(VENDOR)),$(MAKE) --no-print-directory run-bochs,$(RUN_QEMU))
run-bochs: setup $(B)/hospes.iso ## boot in Bochs, which is an Intel machine
	@$(RUN) --vendor intel
iso: setup $(B)/hospes.iso ## make build/hospes.iso for BIOS and UEFI, CD and USB stick
run-iso: setup $(B)/hospes.iso $$(DISK_FILE) ## boot the ISO in QEMU
	@$(RUN_QEMU) --boot iso --firmware $(FIRMWARE)
unit: setup $(UNIT) $(FUZZ) ## the unit tests only
	@$(PYTEST) tests/unit tests/fuzz
test: setup all debug $(UNIT) $(FUZZ) $(B)/archive.cpio ## all tests
	@$(PYTEST) -n 2 --dist loadgroup tests
bench: setup all $(addprefix $(B)/bench/,ops pair io) ## count instructions, side by side with Debian's Xen
	@scripts/bench.py --build $(B) --cache $(CACHE) $(BENCH)
bench-profile: setup all $(B)/bench/ops ## show which functions the instructions of OP=event_pending go to
	@scripts/bench_profile.py --build $(B) $(if $(OP),$(OP),event_pending) $(BENCH)
bench-docs: ## write docs/performance.md from the last bench
	@scripts/bench.py --build $(B) --docs docs/performance.md
stress: setup all debug ## random control operations against each other for SECONDS=300, from SEED=number
	@SECONDS=$(or $(SECONDS),300) SEED=$(or $(SEED),$$(date +%s)) $(PYTEST) -s tests/system/test_stress.py
soak: setup all $(B)/archive.cpio ## disks and cards under load for a minute on each driver
	@$(PYTEST) tests/system/soak.py
scale: setup all ## what 500 small domains cost, and how that grows
	@scripts/scale.py --build $(B)
run-xen: setup all $(B)/archive.cpio ## boot the same dom0 over Debian's Xen
	@CACHE=$(CACHE)/xen DOM0=$(B)/dom0 ARCHIVE=$(B)/archive.cpio MEM=$(MEM) scripts/peer-xen.sh

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

format: ## lay out all C files with clang-format
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove what was built (downloads are kept in build/cache)
	@find $(B) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} + 2>/dev/null || true

-include $(shell find $(B) -name '*.d' 2>/dev/null)
