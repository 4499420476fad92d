// SPDX-License-Identifier: Apache-2.0
// exits COUNT: CPU nanoseconds for each exit of an x86 guest that stores to an address where nothing is, in the shortest loop that there is.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define RAM	0x40000000ULL
#define DEVICE	0x09000000U

static long long spent(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int checked(int result)
{
	if (result < 0) {
		perror("kvm");
		exit(1);
	}
	return result;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

int main(int argc, char **argv)
{
	const uint32_t count = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000;
	const int kvm = checked(open("/dev/kvm", O_RDWR));
	const int vm = checked(ioctl(kvm, KVM_CREATE_VM, 0));
	uint8_t *ram = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = { .guest_phys_addr = RAM, .memory_size = 65536, .userspace_addr = (uintptr_t)ram };
	struct kvm_segment flat = { .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	struct kvm_regs regs = { .rip = RAM, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	long long start;
	int vcpu;

	/* mov ecx, count; again: mov [DEVICE], eax; dec ecx; jnz again; mov [DEVICE + 8], eax */
	static uint8_t code[] = { 0xb9, 0, 0, 0, 0, 0xa3, 0, 0, 0, 0, 0x49, 0x75, 0xf8, 0xa3, 0, 0, 0, 0 };

	put32(code + 1, count);
	put32(code + 6, DEVICE);
	put32(code + 14, DEVICE + 8);
	memcpy(ram, code, sizeof(code));
	checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot));
	vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0));
	run = mmap(NULL, checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	checked(ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	flat.selector = 8;
	flat.type = 11;
	sregs.cs = flat;
	sregs.cr0 |= 1;
	checked(ioctl(vcpu, KVM_SET_SREGS, &sregs));
	checked(ioctl(vcpu, KVM_SET_REGS, &regs));
	start = spent();
	do {
		checked(ioctl(vcpu, KVM_RUN, 0));
		if (run->exit_reason != KVM_EXIT_MMIO)
			return 1;
	} while (run->mmio.phys_addr == DEVICE);
	printf("%lld\n", (spent() - start) / count);
	return 0;
}
