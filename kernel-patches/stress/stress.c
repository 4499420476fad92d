// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does to VFIO's mmap cookies, from many threads, what can be done to them: they are created, mapped, touched by
 * the process, a child and a guest, while the device is reset, put to sleep and its memory switched off; files are
 * closed while their mappings live. Then, one allocation after the other, lets each that these paths make fail.
 *
 *	stress ROUNDS BDF...
 *
 * It checks that every answer is one that the uAPI allows; what it is really for is the log of a kernel with KASAN,
 * UBSAN, lockdep and the VM's own checks, in which nothing may appear. Exit code 0: every answer was allowed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lifetime/node.h"
#include "../lifetime/uapi.h"

/* Newer than the headers of the machine that compiles this. */
struct pre_fault { uint64_t gpa, size, flags, padding[5]; };
#define PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct pre_fault)

#define REGIONS 9
#define LIMIT (2ul << 20)

struct device {
	int fd;
	uint64_t config;
	uint64_t offset[REGIONS][ATTRIBUTES], size[REGIONS];
	atomic_bool stop;
};

static atomic_long counts[6];
enum { COOKIES, MAPPINGS, TOUCHES, BUS_ERRORS, GUEST_FAULTS, INJECTED };
static atomic_int wrong;

#define ALLOWED(what, condition) \
	do { if (!(condition)) { atomic_fetch_add(&wrong, 1); fprintf(stderr, "%s:%d: %s: errno %d\n", __FILE__, __LINE__, what, errno); } } while (0)

static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t armed;

static void on_bus_error(int number)
{
	if (!armed) {
		signal(number, SIG_DFL);
		raise(number);
	}
	siglongjmp(escape, 1);
}

/* 0 = the memory was there. The device's memory may be off: a bus error is as good an answer. */
static int touch(volatile uint32_t *at)
{
	if (sigsetjmp(escape, 1)) {
		armed = 0;
		atomic_fetch_add(&counts[BUS_ERRORS], 1);
		return -1;
	}
	armed = 1;
	*at = *at + 1;
	armed = 0;
	atomic_fetch_add(&counts[TOUCHES], 1);
	return 0;
}

/* xorshift: each thread has its own, so that a seed always gives the same requests. */
static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static int get_cookie(int fd, uint32_t region, uint32_t attribute, struct cookie *cookie)
{
	*cookie = (struct cookie){ sizeof(*cookie), VFIO_DEVICE_FEATURE_GET | FEATURE_MMAP_COOKIE, region, attribute, 0, 0 };
	return ioctl(fd, VFIO_DEVICE_FEATURE, cookie);
}

static int feature(int fd, uint32_t flags)
{
	struct vfio_device_feature request = { sizeof(request), flags };

	return ioctl(fd, VFIO_DEVICE_FEATURE, &request);
}

/* A device file with access granted, or -1 and errno. */
static int open_device(const char *bdf, int iommufd)
{
	struct ioas_alloc ioas = { sizeof(ioas), 0, 0 };
	struct bind_iommufd bind = { sizeof(bind), 0, iommufd, 0 };
	int fd = open_node(bdf);

	if (fd < 0)
		return -1;
	if (ioctl(fd, BIND_IOMMUFD, &bind) || ioctl(iommufd, IOAS_ALLOC, &ioas) ||
	    ioctl(fd, ATTACH_IOAS, &(struct attach_ioas){ sizeof(struct attach_ioas), 0, ioas.ioas })) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int learn(struct device *device)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct cookie cookie;

	if (ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return -1;
	device->config = info.offset;
	memset(device->size, 0, sizeof(device->size));
	for (uint32_t region = 0; region < VFIO_PCI_ROM_REGION_INDEX; region++)
		for (uint32_t attribute = 0; attribute < 3; attribute++)
			if (!get_cookie(device->fd, region, attribute, &cookie)) {
				device->offset[region][attribute] = cookie.offset;
				device->size[region] = cookie.size < LIMIT ? cookie.size : LIMIT;
			}
	return 0;
}

/* A random slice of a random BAR; NULL if the kernel refused it as it may. */
static void *map_slice(struct device *device, uint32_t *random, size_t *length)
{
	uint32_t region = next(random) % VFIO_PCI_ROM_REGION_INDEX, attribute = next(random) % 3;
	size_t page = sysconf(_SC_PAGESIZE), pages, first;
	void *at;

	while (!device->size[region])
		region = (region + 1) % VFIO_PCI_ROM_REGION_INDEX;
	pages = device->size[region] / page;
	first = next(random) % pages;
	*length = (1 + next(random) % (pages - first)) * page;
	at = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, device->offset[region][attribute] + first * page);
	if (at == MAP_FAILED) {
		ALLOWED("mmap", errno == ENOMEM);
		return NULL;
	}
	atomic_fetch_add(&counts[MAPPINGS], 1);
	return at;
}

static void *ask(void *argument)
{
	struct device *device = argument;
	uint32_t random = 0x1234567;
	struct cookie cookie;

	while (!device->stop) {
		uint32_t region = next(&random) % (REGIONS + 2), attribute = next(&random) % (ATTRIBUTES + 2);

		if (get_cookie(device->fd, region, attribute, &cookie))
			ALLOWED("cookie", errno == EINVAL || errno == EOPNOTSUPP);
		else
			ALLOWED("cookie changed", region < REGIONS && attribute < ATTRIBUTES && cookie.offset == device->offset[region][attribute]);
		atomic_fetch_add(&counts[COOKIES], 1);
	}
	return NULL;
}

static void *use(void *argument)
{
	struct device *device = argument;
	uint32_t random = 0x89abcdef ^ (uint32_t)(uintptr_t)&random;
	size_t page = sysconf(_SC_PAGESIZE), length;
	char *at, *moved;

	while (!device->stop) {
		at = map_slice(device, &random, &length);
		if (!at)
			continue;
		for (size_t offset = 0; offset < length; offset += (1 + next(&random) % 8) * page)
			touch((uint32_t *)(at + offset));
		if (length > 4 * page) {
			munmap(at + page, page);
			moved = mremap(at + 2 * page, length - 2 * page, length - 2 * page, MREMAP_MAYMOVE);
			ALLOWED("mremap", moved != MAP_FAILED);
			mprotect(moved, page, PROT_READ);
			mprotect(moved, page, PROT_READ | PROT_WRITE);
			touch((uint32_t *)moved);
			munmap(moved, length - 2 * page);
			length = page;
		}
		if (next(&random) % 16 == 0) {
			pid_t child = fork();

			if (!child) {
				touch((uint32_t *)at);
				_exit(0);
			}
			ALLOWED("child", child > 0 && waitpid(child, NULL, 0) == child);
		}
		munmap(at, length);
	}
	return NULL;
}

static void *disturb(void *argument)
{
	struct device *device = argument;
	uint32_t random = 0xfeedbeef;
	uint16_t command;

	while (!device->stop) {
		switch (next(&random) % 3) {
		case 0:
			ALLOWED("reset", !ioctl(device->fd, VFIO_DEVICE_RESET) || errno == EINVAL);
			break;
		case 1:
			if (!feature(device->fd, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY))
				ALLOWED("wake", !feature(device->fd, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_EXIT));
			break;
		case 2:
			if (pread(device->fd, &command, 2, device->config + 4) != 2)
				break;
			command &= ~2;
			pwrite(device->fd, &command, 2, device->config + 4);
			break;
		}
		command = 7;
		ALLOWED("memory on", pwrite(device->fd, &command, 2, device->config + 4) == 2);
	}
	return NULL;
}

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
};

#define GUEST_MEMORY (1ul << 30)

#ifdef __aarch64__
#define CORE_REGISTER(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offsetof(struct kvm_regs, name) / sizeof(uint32_t))

static void set_register(struct guest *guest, uint64_t id, uint64_t value)
{
	struct kvm_one_reg one = { id, (uintptr_t)&value };

	ioctl(guest->vcpu, KVM_SET_ONE_REG, &one);
}

static int prepare(struct guest *guest)
{
	/* ldr w1, [x0]; str w1, [x2], where x2 is nobody's memory: that ends KVM_RUN. And again. */
	static const uint32_t code[] = { 0xb9400001, 0xb9000041, 0x17fffffe };
	size_t page = sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = { 1, 0, 0, page, (uintptr_t)memory };
	struct kvm_vcpu_init init;

	memcpy(memory, code, sizeof(code));
	guest->run = mmap(NULL, ioctl(guest->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu, 0);
	return ioctl(guest->vm, KVM_ARM_PREFERRED_TARGET, &init) || ioctl(guest->vcpu, KVM_ARM_VCPU_INIT, &init) ||
	       ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &slot) || guest->run == MAP_FAILED;
}

/* How many pages of its window the guest could read. */
static long guest_reads(struct guest *guest, size_t length)
{
	size_t page = sysconf(_SC_PAGESIZE);
	long pages = 0;

	for (size_t offset = 0; offset < length; offset += page) {
		set_register(guest, CORE_REGISTER(regs.regs[0]), GUEST_MEMORY + offset);
		set_register(guest, CORE_REGISTER(regs.regs[2]), GUEST_MEMORY - page);
		set_register(guest, CORE_REGISTER(regs.pc), 0);
		/* EFAULT: the device's memory was off. Nothing of the read is pending then. */
		if (ioctl(guest->vcpu, KVM_RUN, 0) == 0 && guest->run->exit_reason == KVM_EXIT_MMIO)
			pages++;
	}
	return pages;
}
#else
static int prepare(struct guest *guest)
{
	return guest->vcpu < 0;
}

/* KVM can be asked to take the faults; no code has to run in the guest. */
static long guest_reads(struct guest *guest, size_t length)
{
	struct pre_fault range = { .gpa = GUEST_MEMORY, .size = length };

	return ioctl(guest->vcpu, PRE_FAULT_MEMORY, &range) ? 0 : length / sysconf(_SC_PAGESIZE);
}
#endif

static int start(struct guest *guest)
{
	guest->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	guest->vm = guest->kvm < 0 ? -1 : ioctl(guest->kvm, KVM_CREATE_VM, 0);
	guest->vcpu = guest->vm < 0 ? -1 : ioctl(guest->vm, KVM_CREATE_VCPU, 0);
	return guest->vcpu < 0 || prepare(guest);
}

static void end(struct guest *guest)
{
	close(guest->vcpu);
	close(guest->vm);
	close(guest->kvm);
}

/* Gives a window of device memory to the guest, lets it read that, and takes it away. */
static void window(struct guest *guest, void *at, size_t length)
{
	struct kvm_userspace_memory_region slot = { 0, 0, GUEST_MEMORY, length, (uintptr_t)at };

	if (!ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &slot)) {
		atomic_fetch_add(&counts[GUEST_FAULTS], guest_reads(guest, length));
		slot.memory_size = 0;
		/* To take one away needs memory, too: the allocation that is to fail may be this one. */
		ALLOWED("memslot", !ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &slot) ||
					   (errno == ENOMEM && !ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &slot)));
	}
}

static void *host_a_guest(void *argument)
{
	struct device *device = argument;
	uint32_t random = 0xc0ffee;
	struct guest guest;
	size_t length;
	void *at;

	ALLOWED("guest", !start(&guest));
	while (!device->stop) {
		at = map_slice(device, &random, &length);
		if (!at)
			continue;
		window(&guest, at, length);
		munmap(at, length);
	}
	end(&guest);
	return NULL;
}

static int stress(const char *bdf, int rounds)
{
	void *(*const threads[])(void *) = { ask, ask, use, use, disturb, host_a_guest };
	pthread_t started[sizeof(threads) / sizeof(threads[0])];
	uint32_t random = 0x5eed;
	size_t length;

	for (int round = 0; round < rounds; round++) {
		int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
		struct device device = { .fd = open_device(bdf, iommufd) };
		char *kept;

		if (device.fd < 0 || learn(&device)) {
			perror(bdf);
			return 1;
		}
		for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
			pthread_create(&started[i], NULL, threads[i], &device);
		/* This thread's share of the work is the round's length. */
		for (int i = 0; i < 25; i++) {
			char *at = map_slice(&device, &random, &length);

			if (at) {
				touch((uint32_t *)at);
				munmap(at, length);
			}
		}
		device.stop = 1;
		printf("%s: round %d of %d\n", bdf, round + 1, rounds);
		for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
			pthread_join(started[i], NULL);
		kept = map_slice(&device, &random, &length);
		/* The mapping keeps the device open, but not what the iommufd gives it. */
		close(device.fd);
		if (round % 2)
			close(iommufd);
		if (kept) {
			touch((uint32_t *)kept);
			munmap(kept, length);
		}
		if (!(round % 2))
			close(iommufd);
	}
	return 0;
}

/*
 * Makes this thread's Nth allocation from here on fail; 0 = none. Returns what the last call's number has become: 0
 * if that allocation was reached. The file stays open, since opening it allocates too.
 */
static int fail_nth(int nth)
{
	static int fd = -2;
	char text[16] = "";
	int was;

	if (fd == -2)
		fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return -1;
	was = atoi(text);
	snprintf(text, sizeof(text), "%d", nth);
	return pwrite(fd, text, strlen(text), 0) < 0 ? -1 : was;
}

/*
 * To open a PCI device is to look up its interrupt. On x86 the ACPI interpreter does that, and if it runs out of memory
 * in the middle, it uses an object that it has freed, says KASAN (acpi_ns_get_attached_object), on stock as well.
 */
#ifdef __aarch64__
#define OPEN_CAN_FAIL 1
#else
#define OPEN_CAN_FAIL 0
#endif

static void inject(const char *bdf)
{
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	struct guest guest;
	size_t page = sysconf(_SC_PAGESIZE);
	int left[4] = { OPEN_CAN_FAIL, 1, 1, 1 };

	ALLOWED("guest", !start(&guest));
	for (int nth = 1; left[0] || left[1] || left[2] || left[3]; nth++) {
		if (nth % 16 == 1)
			printf("%s: failing allocation %d: open %d, cookie %d, mmap %d, guest %d\n", bdf, nth, left[0], left[1], left[2], left[3]);
		struct device device = { 0 };
		struct cookie cookie;
		char *at = MAP_FAILED;

		/* open and bind: the objects at the old offsets */
		fail_nth(left[0] ? nth : 0);
		device.fd = open_device(bdf, iommufd);
		left[0] = left[0] && fail_nth(0) == 0;
		ALLOWED("open", device.fd >= 0 || left[0]);
		/* An open that worked without that allocation may have left a BAR out: start with a whole one. */
		if (left[0]) {
			close(device.fd);
			device.fd = open_device(bdf, iommufd);
		}

		fail_nth(left[1] ? nth : 0);
		if (get_cookie(device.fd, 2, 2, &cookie)) {
			int error = errno;

			left[1] = left[1] && fail_nth(0) == 0;
			ALLOWED("cookie", left[1] && error == ENOMEM);
		} else {
			left[1] = left[1] && fail_nth(0) == 0;
		}
		if (get_cookie(device.fd, 2, 2, &cookie))
			ALLOWED("cookie again", 0);

		fail_nth(left[2] ? nth : 0);
		at = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd, cookie.offset);
		if (at != MAP_FAILED)
			touch((uint32_t *)at);
		left[2] = left[2] && fail_nth(0) == 0;
		ALLOWED("mmap", at != MAP_FAILED || left[2]);
		if (at == MAP_FAILED)
			at = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd, cookie.offset);

		fail_nth(left[3] ? nth : 0);
		if (at != MAP_FAILED)
			window(&guest, at, 16 * page);
		left[3] = left[3] && fail_nth(0) == 0;
		for (int i = 0; i < 4; i++)
			atomic_fetch_add(&counts[INJECTED], left[i]);
		munmap(at, 16 * page);
		close(device.fd);
	}
	end(&guest);
	close(iommufd);
}

int main(int count, char **arguments)
{
	int failed = 0, status;

	if (count < 3) {
		fprintf(stderr, "stress ROUNDS BDF...\n");
		return 2;
	}
	setlinebuf(stdout);
	signal(SIGBUS, on_bus_error);
	for (int i = 2; i < count; i++)
		if (!fork()) {
			failed = stress(arguments[i], atoi(arguments[1]));
			if (fail_nth(0) >= 0)
				inject(arguments[i]);
			printf("%s: %ld cookies, %ld mappings, %ld touches, %ld bus errors, %ld pages read by a guest, %ld failed allocations, %d wrong answers\n",
			       arguments[i], counts[COOKIES], counts[MAPPINGS], counts[TOUCHES], counts[BUS_ERRORS], counts[GUEST_FAULTS], counts[INJECTED], wrong);
			return failed || wrong;
		}
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
