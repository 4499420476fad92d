// SPDX-License-Identifier: Apache-2.0
// mappings COUNT: CPU nanoseconds to reserve address space, map a page of one file there and make it a memslot, so many times.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ULL

static long long spent(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int argc, char **argv)
{
	const int count = argc > 1 ? atoi(argv[1]) : 10000;
	const int kvm = open("/dev/kvm", O_RDWR);
	const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	const int file = memfd_create("mappings", 0);
	long long start;

	if (vm < 0 || ftruncate(file, (off_t)(count * PAGE)) < 0)
		return 1;
	start = spent();
	for (int i = 0; i < count; i++) {
		uint8_t *reserved = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		void *page = mmap(reserved, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, (off_t)(i * PAGE));
		struct kvm_userspace_memory_region slot = {
			.slot = (uint32_t)i,
			.guest_phys_addr = 0x100000000ULL + 2 * (uint64_t)i * PAGE,
			.memory_size = PAGE,
			.userspace_addr = (uintptr_t)page,
		};

		if (page == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0) {
			perror("mappings");
			return 1;
		}
	}
	printf("%lld\n", spent() - start);
	return 0;
}
