# SPDX-License-Identifier: Apache-2.0
# The rest of a guest's Makefile, which sets CC and ARCH_CFLAGS and includes this. A guest is its own runtime/, cells/
# and probes/ and the ones here; build/guest.elf comes with build/bad-*.elf, that test how a VMM treats a bad guest, and
# with a guest of its own for each file in images/. build/linux-init.elf is no bare guest but a program: /init of a Linux
# guest (program/), with those of the probes that LINUX_PROBES names.

common := ../guest-common
B := build

# The guest's own folder first: runtime/cpu.h and runtime/memory-map.h are each architecture's own.
CPPFLAGS := -I../tool/verify/guest -I../tool/verify -I. -I$(common)
# No stack protector or PLT: nothing here is linked with. Memory that is written word by word stays written so.
CFLAGS := -std=c11 -O2 $(ARCH_CFLAGS) -ffreestanding -fno-pic -fno-stack-protector -fno-tree-loop-distribute-patterns \
	-fno-asynchronous-unwind-tables -Wall -Wextra -Werror
LDFLAGS_PROGRAM := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--fatal-warnings -Wl,-z,noexecstack
LDFLAGS := $(LDFLAGS_PROGRAM) -Wl,-T,$(common)/guest.ld -Wl,-z,max-page-size=4096

vpath %.c $(common)

sources = $(patsubst $(common)/%,%,$(foreach folder,. $(common),$(wildcard $(folder)/$1)))
objects = $(patsubst %,$B/%.o,$(basename $(patsubst ./%,%,$(call sources,$1))))

runtime := $(call objects,runtime/*.[cS])
guest := $(call objects,cells/*.c) $(call objects,probes/*.c)
bad := $(patsubst $B/bad/%.o,$B/bad-%.elf,$(call objects,bad/*.c))
linux := $(call objects,program/*.[cS]) $(patsubst %,$B/probes/%.o,$(LINUX_PROBES))
images := $(patsubst $B/images/%.o,$B/%.elf,$(call objects,images/*.c))

all: $B/guest.elf $B/linux-init.elf $(bad) $(images)

$B/guest.elf: $(runtime) $(guest)
$(bad): $B/bad-%.elf: $(runtime) $B/bad/%.o
$(images): $B/%.elf: $(runtime) $B/images/%.o

$B/linux-init.elf: $(linux) $B/command
	$(CC) $(LDFLAGS_PROGRAM) -o $@ $(filter %.o,$^)

$B/%.elf: $(common)/guest.ld $B/command
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^)

$B/%.o: %.c $B/command
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/%.o: %.S $B/command
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Changes only when the compiler, its flags or the list of objects do, so that those make everything out of date too.
command := $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(runtime) $(guest) $(linux)
$B/command: always
	@mkdir -p $(@D)
	@test "$$(cat $@ 2>/dev/null)" = '$(command)' || echo '$(command)' > $@

clean:
	rm -rf $B

-include $(shell find $B -name '*.d' 2>/dev/null)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all always clean
