/*
 * The first process of a Linux guest with passed-through devices: says which it finds, and does what its arguments ask for, which
 * Linux takes from the end of its command line, behind "--". Static and without a shell, so that an initramfs is this one file.
 *
 *	read=DEVICE:BYTES	reads a block device's first bytes, past the page cache; says their CRC-32, how many interrupts
 *				the device's driver has got for it, and where in RAM the bytes were
 *	silently=DEVICE:BYTES	the same, without a word
 *	mark=NAME		says so and waits for a line on standard input: whoever runs the guest can count meanwhile
 *	load=FILE:OFFSET	maps a file of sysfs as a BAR's resourceN_wc, and loads 4 bytes there in a child of its own
 *	enable=ADDRESS, reset=ADDRESS	switches a device on that no driver has; resets a function
 *	unbind=ADDRESS		takes a device from its driver
 *	config=ADDRESS@OFFSET@VALUE	stores 32 bits to a device's configuration space
 *	align=ORDER@ADDRESS	has Linux give the device's BARs places that are aligned to 2^ORDER, when it looks again
 *	remove=ADDRESS, rescan	takes a device away, has Linux look again
 *	peer=NVME@QUEUES@TARGET	has an NVMe controller that no driver has write who it is to a page of TARGET; its queues are in
 *				QUEUES too, so that it touches no RAM. Both are files of sysfs, as resource2; with
 *				@gone behind, TARGET decodes no memory while the controller writes
 *	insmod=FILE		loads a module of the initramfs
 *	up=INTERFACE:NAME	switches a network interface on; says how many interrupts NAME has then got, as /proc/interrupts calls them
 *	hammer=ADDRESS:ROUNDS	reads a device's configuration space, moves its BARs, decodes memory or does not, writes a line
 *	reboot			reboots instead of powering off
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PCI "/sys/bus/pci/devices"
#define CHUNK (128 << 10)

static void mounted(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		printf("mount %s: %s\n", where, strerror(errno));
}

/* The first line of a file, without its end; "-" where there is none. */
static const char *line_of(const char *folder, const char *name, char *line, size_t size)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "r");
	if (!file || !fgets(line, size, file))
		snprintf(line, size, "-");
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = 0;
	return line;
}

static void write_line(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void say_bars(const char *folder)
{
	char path[512], line[256];
	unsigned long long start, end, flags;
	FILE *file;
	int bar;

	snprintf(path, sizeof(path), "%s/resource", folder);
	file = fopen(path, "r");
	for (bar = 0; file && bar < 6 && fgets(line, sizeof(line), file); bar++)
		if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) == 3 && end > start)
			printf("bar%d: 0x%llx +0x%llx%s\n", bar, start, end - start + 1,
			       flags & 0x2000 ? " prefetchable" : "");
	if (file)
		fclose(file);
}

/* How many message-signalled interrupts Linux uses of a device. */
static int vectors(const char *folder)
{
	char path[320];
	struct dirent *entry;
	int count = 0;
	DIR *entries;

	snprintf(path, sizeof(path), "%s/msi_irqs", folder);
	entries = opendir(path);
	while (entries && (entry = readdir(entries)))
		count += entry->d_name[0] != '.';
	if (entries)
		closedir(entries);
	return count;
}

static void say_devices(void)
{
	char folder[300], driver[512], vendor[64], device[64], class[64], path[320];
	struct dirent **names;
	ssize_t length;
	int i, count;

	count = scandir(PCI, &names, NULL, alphasort);
	for (i = 0; i < count; i++) {
		if (names[i]->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), PCI "/%s", names[i]->d_name);
		snprintf(path, sizeof(path), "%s/driver", folder);
		length = readlink(path, driver, sizeof(driver) - 1);
		driver[length < 0 ? 0 : length] = 0;
		printf("pci: %s %s %s %s driver %s\n", names[i]->d_name, line_of(folder, "vendor", vendor, 64),
		       line_of(folder, "device", device, 64), line_of(folder, "class", class, 64),
		       length < 0 ? "-" : strrchr(driver, '/') + 1);
		printf("vectors: %s %d\n", names[i]->d_name, vectors(folder));
		say_bars(folder);
	}
}

/* Of all CPUs and vectors, for interrupts whose names start with this. */
static unsigned long interrupts(const char *name)
{
	char line[4096], *field, *next;
	unsigned long sum = 0;
	FILE *file = fopen("/proc/interrupts", "r");

	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, name) || !strchr(line, ':'))
			continue;
		for (field = strchr(line, ':') + 1;; field = next) {
			unsigned long count = strtoul(field, &next, 10);

			if (next == field || (*next != ' ' && *next != '\n'))
				break;
			sum += count;
		}
	}
	if (file)
		fclose(file);
	return sum;
}

static uint32_t crc32(uint32_t crc, const unsigned char *bytes, size_t length)
{
	int bit;

	for (crc = ~crc; length; length--)
		for (crc ^= *bytes++, bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	return ~crc;
}

/* Of a page that is there; 0 where the kernel does not say. */
static uint64_t physical(const void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)page / 4096 * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return (entry & ((1ull << 55) - 1)) << 12;
}

static void read_device(char *text, int silently)
{
	char *bytes = strchr(text, ':'), path[300];
	unsigned long left, whole, before, reads = 0;
	struct timespec start, end;
	uint32_t crc = 0;
	ssize_t got = 0;
	void *buffer;
	int fd;

	*bytes = 0;
	whole = left = strtoul(bytes + 1, NULL, 0);
	snprintf(path, sizeof(path), "/dev/%s", text);
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd < 0 || posix_memalign(&buffer, CHUNK, CHUNK)) {
		printf("read %s: %s\n", text, strerror(errno));
		return;
	}
	before = interrupts("nvme");
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; left && (got = read(fd, buffer, left < CHUNK ? left : CHUNK)) > 0; left -= got, reads++)
		crc = crc32(crc, buffer, got);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!silently)
		printf("read: %s %lu bytes in %lu reads, crc 0x%08x, %lu interrupts, %ld ms, at 0x%llx%s%s\n", text,
		       whole - left, reads, crc, interrupts("nvme") - before,
		       (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000,
		       (unsigned long long)physical(buffer), got < 0 ? ": " : "", got < 0 ? strerror(errno) : "");
	free(buffer);
	close(fd);
}

/* A child, since a fault is an answer too. */
static void load(char *text)
{
	char *at = strrchr(text, ':');
	unsigned long offset;
	int status;

	*at = 0;
	offset = strtoul(at + 1, NULL, 0);
	fflush(stdout);
	if (fork() == 0) {
		int fd = open(text, O_RDWR);
		char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset & ~4095ul);

		if (map == MAP_FAILED) {
			printf("load: %s: %s\n", text, strerror(errno));
			_exit(2);
		}
		printf("load: %s at 0x%lx: 0x%08x\n", text, offset, *(volatile uint32_t *)(map + (offset & 4095)));
		fflush(stdout);
		_exit(0);
	}
	wait(&status);
	if (WIFSIGNALED(status))
		printf("load: %s at 0x%lx: signal %d\n", text, offset, WTERMSIG(status));
}

static void store_config(char *text)
{
	char path[300], *name = strtok(text, "@"), *offset = strtok(NULL, "@"), *value = strtok(NULL, "@");
	uint32_t word = strtoul(value, NULL, 0);
	int fd;

	snprintf(path, sizeof(path), PCI "/%s/config", name);
	fd = open(path, O_RDWR);
	if (fd < 0 || pwrite(fd, &word, 4, strtoul(offset, NULL, 0)) != 4)
		printf("%s: %s\n", path, strerror(errno));
	if (pread(fd, &word, 4, strtoul(offset, NULL, 0)) == 4)
		printf("config: %s at %s: 0x%08x\n", name, offset, word);
	close(fd);
}

static void mark(const char *name)
{
	char byte = 0;

	printf("mark: %s\n", name);
	fflush(stdout);
	while (byte != '\n' && read(STDIN_FILENO, &byte, 1) == 1)
		;
}

enum { DECODES_MEMORY = 2, STARTS_TRANSFERS = 4 };

/* A bit of the command register of the device of which a file of sysfs is. */
static void command(const char *file, uint16_t bit, int on)
{
	char path[320];
	uint16_t word;
	int fd;

	snprintf(path, sizeof(path), "%.*s/config", (int)(strrchr(file, '/') - file), file);
	fd = open(path, O_RDWR);
	if (fd < 0 || pread(fd, &word, 2, 4) != 2)
		printf("%s: %s\n", path, strerror(errno));
	word = on ? word | bit : word & ~bit;
	if (pwrite(fd, &word, 2, 4) != 2)
		printf("%s: %s\n", path, strerror(errno));
	close(fd);
}

static volatile uint32_t *map_bar(const char *file, size_t length)
{
	int fd = open(file, O_RDWR);
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (map == MAP_FAILED)
		printf("peer: %s: %s\n", file, strerror(errno));
	return map == MAP_FAILED ? NULL : map;
}

/* Where the guest has the BAR, from the file "resource" beside the one that maps it. */
static uint64_t bar_address(const char *file)
{
	char path[320], line[256];
	unsigned long long start = 0;
	int bar = file[strlen(file) - 1] - '0';
	FILE *lines;

	snprintf(path, sizeof(path), "%.*s/resource", (int)(strrchr(file, '/') - file), file);
	lines = fopen(path, "r");
	while (lines && bar-- >= 0 && fgets(line, sizeof(line), lines))
		sscanf(line, "%llx", &start);
	if (lines)
		fclose(lines);
	return start;
}

/* NVM Express base specification: registers, and the admin queue, by which a controller says who it is. */
enum { CAP_HIGH = 1, CC = 5, CSTS = 7, AQA = 9, ASQ = 10, ACQ = 12, DOORBELLS = 0x400 };

static int wait_ready(volatile uint32_t *registers, uint32_t ready)
{
	int tries;

	for (tries = 0; tries < 10000 && (registers[CSTS] & 1) != ready; tries++)
		usleep(1000);
	return (registers[CSTS] & 1) == ready;
}

static void peer(char *text)
{
	char path[300], *nvme = strtok(text, "@"), *queues = strtok(NULL, "@"), *target = strtok(NULL, "@");
	volatile uint32_t *registers, *queue, *data, *submitted, *completed;
	uint64_t queue_at = bar_address(queues), data_at = bar_address(target);
	uint32_t stride, before;
	int entry, tries;

	snprintf(path, sizeof(path), PCI "/%s/resource0", nvme);
	registers = map_bar(path, 0x2000);
	queue = map_bar(queues, 0x2000);
	data = map_bar(target, 0x1000);
	if (!registers || !queue || !data)
		return;
	command(path, STARTS_TRANSFERS, 1);
	stride = 1u << (registers[CAP_HIGH] & 0xf);
	registers[CC] = 0;
	if (!wait_ready(registers, 0))
		printf("peer: the controller does not stop\n");
	for (entry = 0; entry < 0x2000 / 4; entry++)
		queue[entry] = 0;
	for (entry = 0; entry < 0x1000 / 4; entry++)
		data[entry] = 0;
	submitted = queue;
	completed = queue + 0x1000 / 4;
	registers[AQA] = 0x00010001;
	registers[ASQ] = queue_at;
	registers[ASQ + 1] = queue_at >> 32;
	registers[ACQ] = queue_at + 0x1000;
	registers[ACQ + 1] = (queue_at + 0x1000) >> 32;
	/* Entries of 64 and 16 bytes, enabled. */
	registers[CC] = 6 << 16 | 4 << 20 | 1;
	if (!wait_ready(registers, 1))
		printf("peer: the controller does not start\n");
	before = data[0];
	submitted[0] = 6 | 0x4242u << 16;
	submitted[6] = data_at;
	submitted[7] = data_at >> 32;
	submitted[10] = 1;
	if (strtok(NULL, "@"))
		command(target, DECODES_MEMORY, 0);
	registers[DOORBELLS] = 1;
	for (tries = 0; tries < 10000 && !(completed[3] & 0x10000); tries++)
		usleep(1000);
	command(target, DECODES_MEMORY, 1);
	printf("peer: command 0x%04x, status 0x%x, before 0x%08x, after 0x%08x\n", completed[3] & 0xffff,
	       completed[3] >> 17, before, data[0]);
	registers[DOORBELLS + stride] = 1;
	registers[CC] = 0;
}

static void hammer(char *text)
{
	char path[300], *count = strrchr(text, ':');
	unsigned long round, rounds;
	unsigned char bytes[256];
	int fd;

	*count++ = 0;
	rounds = strtoul(count, NULL, 0);
	snprintf(path, sizeof(path), PCI "/%s/config", text);
	fd = open(path, O_RDWR);
	for (round = 0; round < rounds; round++) {
		uint16_t command = round % 4;

		if (pread(fd, bytes, sizeof(bytes), 0) < 0 || pwrite(fd, &command, 2, 4) != 2 ||
		    pwrite(fd, &round, 4, 0x10 + round % 6 * 4) != 4) {
			printf("hammer: %s\n", strerror(errno));
			break;
		}
		printf("hammer: a line that somebody has to read, number %lu\n", round);
	}
	close(fd);
}

static void align(char *text)
{
	write_line("/sys/bus/pci/resource_alignment", text);
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		printf("insmod: %s: %s\n", path, strerror(errno));
	close(fd);
}

/* The link comes up by an interrupt, after a while. */
static void switch_on(char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), tries;
	char *driver = strchr(name, ':');

	*driver++ = 0;
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		printf("up: %s: %s\n", name, strerror(errno));
	for (tries = 0; tries < 100 && interrupts(driver) == 0; tries++)
		usleep(100000);
	printf("up: %s: %lu interrupts\n", name, interrupts(driver));
	close(fd);
}

static void act(char *argument)
{
	char path[300], *value = strchr(argument, '=');

	if (value)
		*value++ = 0;
	if (!strcmp(argument, "read"))
		read_device(value, 0);
	else if (!strcmp(argument, "silently"))
		read_device(value, 1);
	else if (!strcmp(argument, "mark"))
		mark(value);
	else if (!strcmp(argument, "peer"))
		peer(value);
	else if (!strcmp(argument, "hammer"))
		hammer(value);
	else if (!strcmp(argument, "align"))
		align(value);
	else if (!strcmp(argument, "load"))
		load(value);
	else if (!strcmp(argument, "config"))
		store_config(value);
	else if (!strcmp(argument, "insmod"))
		load_module(value);
	else if (!strcmp(argument, "up"))
		switch_on(value);
	else if (!strcmp(argument, "devices"))
		say_devices();
	else if (!strcmp(argument, "rescan"))
		write_line("/sys/bus/pci/rescan", "1");
	else if (!strcmp(argument, "remove")) {
		snprintf(path, sizeof(path), PCI "/%s/remove", value);
		write_line(path, "1");
	} else if (!strcmp(argument, "unbind")) {
		snprintf(path, sizeof(path), PCI "/%s/driver/unbind", value);
		write_line(path, value);
	} else if (!strcmp(argument, "enable")) {
		snprintf(path, sizeof(path), PCI "/%s/enable", value);
		write_line(path, "1");
	} else if (!strcmp(argument, "reset")) {
		snprintf(path, sizeof(path), PCI "/%s/reset", value);
		write_line(path, "1");
	}
}

int main(int argc, char **argv)
{
	struct timespec up;
	int i, reboots = 0;

	mounted("proc", "/proc");
	mounted("sysfs", "/sys");
	mounted("devtmpfs", "/dev");
	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_BOOTTIME, &up);
	printf("init: up %ld.%03ld s\n", up.tv_sec, up.tv_nsec / 1000000);
	say_devices();
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "reboot"))
			reboots = 1;
		else
			act(argv[i]);
	}
	printf("init: ends\n");
	fflush(stdout);
	reboot(reboots ? RB_AUTOBOOT : RB_POWER_OFF);
	return 1;
}
