/*
 * The first process of a Linux guest with passed-through devices: says which it finds, and does what its arguments ask for, which
 * Linux takes from the end of its command line, behind "--". Static and without a shell, so that an initramfs is this one file.
 *
 *	read=DEVICE:BYTES	reads a block device's first bytes, past the page cache; says their CRC-32 and how many
 *				interrupts the device's driver has got for it
 *	load=FILE:OFFSET	maps a file of sysfs as a BAR's resourceN_wc, and loads 4 bytes there in a child of its own
 *	enable=ADDRESS, reset=ADDRESS	switches a device on that no driver has; resets a function
 *	config=ADDRESS@OFFSET@VALUE	stores 32 bits to a device's configuration space
 *	remove=ADDRESS, rescan	takes a device away, has Linux look again
 *	insmod=FILE		loads a module of the initramfs
 *	up=INTERFACE		switches a network interface on; says how many interrupts it has then got
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

static void read_device(char *text)
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
	printf("read: %s %lu bytes in %lu reads, crc 0x%08x, %lu interrupts, %ld ms%s%s\n", text, whole - left, reads, crc,
	       interrupts("nvme") - before,
	       (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000,
	       got < 0 ? ": " : "", got < 0 ? strerror(errno) : "");
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

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		printf("insmod: %s: %s\n", path, strerror(errno));
	close(fd);
}

/* The link comes up by an interrupt, after a while. */
static void switch_on(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), tries;

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		printf("up: %s: %s\n", name, strerror(errno));
	for (tries = 0; tries < 100 && interrupts(name) == 0; tries++)
		usleep(100000);
	printf("up: %s: %lu interrupts\n", name, interrupts(name));
	close(fd);
}

static void act(char *argument)
{
	char path[300], *value = strchr(argument, '=');

	if (value)
		*value++ = 0;
	if (!strcmp(argument, "read"))
		read_device(value);
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
