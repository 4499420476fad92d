/*
 * The first process of a Linux guest: says what machine it finds, does what the kernel's command line asks for by task=, and
 * ends. Static and without a shell, so that an initramfs is this one file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <termios.h>
#include <unistd.h>

static char command_line[4096];

static void read_command_line(void)
{
	int fd;

	mkdir("/proc", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL))
		perror("mount /proc");
	fd = open("/proc/cmdline", O_RDONLY);
	if (fd < 0 || read(fd, command_line, sizeof(command_line) - 1) < 0)
		perror("/proc/cmdline");
	close(fd);
}

/*
 * On x86 a kernel without SERIAL_8250_PNP believes that the serial port has ISA's interrupt 4, which a machine without ISA
 * does not have: nothing can be written to the port but what the kernel itself says, so that says it.
 */
static void find_output(void)
{
	if (write(STDOUT_FILENO, "\n", 1) < 0)
		dup2(open("/dev/kmsg", O_WRONLY), STDOUT_FILENO);
}

static int is_asked_for(const char *task)
{
	return strstr(command_line, task) != NULL;
}

/* Whatever is typed comes back, in capitals, until an empty line. */
static void echo(void)
{
	char line[256];

	printf("name? ");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && line[0] != '\n')
		printf("you typed: %s", line);
}

int main(void)
{
	struct sysinfo info;

	setvbuf(stdout, NULL, _IOLBF, 0);
	read_command_line();
	find_output();
	sysinfo(&info);
	printf("guest: %d CPUs, %lu MiB, up %ld s\n", get_nprocs(), info.totalram * info.mem_unit >> 20, info.uptime);
	if (is_asked_for("task=echo"))
		echo();
	printf("guest: ends\n");
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(is_asked_for("task=reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
	return 1;
}
