/* What libc and sysinfo(2) say of the machine: one line each, `name value`.
 *
 *	machine sysinfo		the fields of struct sysinfo, sizes in its units; what bad pointers get
 *	machine libc		what libc makes of it
 *	machine agree SECONDS	sysinfo between two readings of /proc/meminfo that are the same; memory grows all the time
 *	machine burn SECONDS	of processor time
 *	machine beneath DIR PATH...	openat2(2) as careful runtimes do it: an errno each
 *	machine threads NUMBER	that wait; says so when all are there, and waits itself
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int refused(void *where)
{
	return sysinfo(where) ? errno : 0;
}

static void tell_sysinfo(void)
{
	struct sysinfo now;
	long page = sysconf(_SC_PAGESIZE);
	char *area = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (sysinfo(&now)) {
		perror("sysinfo");
		exit(1);
	}
	printf("uptime %ld\ntotalram %lu\nfreeram %lu\nsharedram %lu\nbufferram %lu\ntotalswap %lu\nfreeswap %lu\nprocs %u\nunit %u\nsize %zu\n",
	       now.uptime, now.totalram, now.freeram, now.sharedram, now.bufferram, now.totalswap, now.freeswap, now.procs, now.mem_unit,
	       sizeof(now));
	printf("load1 %lu\nhigh %lu\n", now.loads[0], now.totalhigh + now.freehigh);
	mprotect(area + page, (size_t)page, PROT_READ);
	printf("null %d\nbad %d\nreadonly %d\nedge %d\n", refused(NULL), refused((void *)8), refused(area + page), refused(area + page - 8));
}

static void tell_libc(void)
{
	double loads[3] = { -1, -1, -1 };

	getloadavg(loads, 3);
	printf("online %d\nphysical %ld\nload1 %.2f\n", get_nprocs(), get_phys_pages() * (sysconf(_SC_PAGESIZE) / 1024), loads[0]);
}

static ssize_t meminfo(char *text, size_t size)
{
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, text, size - 1);

	close(fd);
	text[got > 0 ? got : 0] = 0;
	return got;
}

static unsigned long value(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoul(at + strlen(key), NULL, 10) : 0;
}

static void agree(double length)
{
	enum { STEP = 64 << 10, MOST = 400 };
	static char before[16384], after[16384];
	double end = seconds(CLOCK_MONOTONIC) + length;
	int compared = 0, different = 0, values = 0, steps = 0;
	unsigned long last = 0;

	while (seconds(CLOCK_MONOTONIC) < end) {
		struct sysinfo now;

		if (steps++ < MOST)
			memset(mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, STEP);
		meminfo(before, sizeof(before));
		sysinfo(&now);
		meminfo(after, sizeof(after));
		usleep(2500);
		if (strcmp(before, after))
			continue;	/* another sample began */
		compared++;
		different += now.freeram / 1024 != value(before, "MemFree:") || now.totalram / 1024 != value(before, "MemTotal:");
		values += now.freeram != last;
		last = now.freeram;
	}
	printf("compared %d\ndifferent %d\nvalues %d\n", compared, different, values);
}

static void burn(double length)
{
	while (seconds(CLOCK_PROCESS_CPUTIME_ID) < length)
		;
}

static void beneath(char **words)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH };
	int directory = open(words[0], O_PATH | O_DIRECTORY);

	for (words++; *words; words++)
		printf("%d\n", syscall(SYS_openat2, directory, *words, &how, sizeof(how)) < 0 ? errno : 0);
}

static void *rest(void *unused)
{
	pause();
	return unused;
}

static void threads(int number)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
	while (number--)
		if (pthread_create(&thread, &small, rest, NULL)) {
			perror("pthread_create");
			exit(1);
		}
	puts("there");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "sysinfo"))
		tell_sysinfo();
	else if (argc == 2 && !strcmp(argv[1], "libc"))
		tell_libc();
	else if (argc == 3 && !strcmp(argv[1], "agree"))
		agree(atof(argv[2]));
	else if (argc == 3 && !strcmp(argv[1], "burn"))
		burn(atof(argv[2]));
	else if (argc > 3 && !strcmp(argv[1], "beneath"))
		beneath(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "threads"))
		threads(atoi(argv[2]));
	else
		return 2;
	return 0;
}
