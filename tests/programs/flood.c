/* Threads that make one system call as fast as they can, and one that makes it now and then.
 *
 *	flood THREADS CALL SECONDS	prints how many calls were made, and how many of them got what was not expected
 *	flood pace CALL COUNT PAUSE_US	prints the median, the 99th percentile and the maximum of what one call took, in µs
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 64, MOST_CALLS = 100000 };

static double now_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

/* Each is 0 if it got what the kernel alone would have answered. */

static int untrapped(const char *place)
{
	(void)place;
	return syscall(SYS_getppid) < 0;
}

static int continued(const char *place)
{
	(void)place;
	return unshare(0);
}

static int machine(const char *place)
{
	struct sysinfo info;

	(void)place;
	return sysinfo(&info);
}

static int asked(const char *place)
{
	(void)place;
	return umount2("/nonexistent", 0) == 0 || errno != ENOENT;
}

static int emulated(const char *place)
{
	return mount("flood", place, "proc", 0, NULL) || umount2(place, 0);
}

static const struct {
	const char *name;
	int (*make)(const char *place);
} CALLS[] = { { "untrapped", untrapped }, { "continued", continued }, { "sysinfo", machine }, { "asked", asked }, { "emulated", emulated } };

static int (*make)(const char *place);
static _Atomic int over;
static _Atomic long made, wrong;
static _Atomic int last_errno;

static void *flooding(void *place)
{
	long calls = 0, failed = 0;

	while (!over) {
		if (make(place)) {
			failed++;
			last_errno = errno;
		}
		calls++;
	}
	made += calls;
	wrong += failed;
	return NULL;
}

static int flood(int threads, const char *seconds)
{
	static char places[MOST_THREADS][32];
	pthread_t thread[MOST_THREADS];

	for (int i = 0; i < threads; i++) {
		snprintf(places[i], sizeof(places[i]), "/tmp/flood%d", i);
		mkdir(places[i], 0755);
		if (pthread_create(&thread[i], NULL, flooding, places[i]))
			return 1;
	}
	printf("begun\n");
	fflush(stdout);
	usleep((useconds_t)(atof(seconds) * 1e6));
	over = 1;
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("made %ld, wrong %ld %s\n", made, wrong, wrong ? strerrorname_np(last_errno) : "");
	return 0;
}

static int rising(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static int pace(int count, int pause_us)
{
	static double took[MOST_CALLS];
	int failed = 0;

	if (count > MOST_CALLS)
		return 2;
	mkdir("/tmp/pace", 0755);
	for (int i = 0; i < count; i++) {
		double before = now_us();

		failed += make("/tmp/pace") != 0;
		took[i] = now_us() - before;
		usleep((useconds_t)pause_us);
	}
	qsort(took, (size_t)count, sizeof(*took), rising);
	printf("%.1f %.1f %.1f failed %d\n", took[count / 2], took[count - 1 - count / 100], took[count - 1], failed);
	return 0;
}

int main(int argc, char **argv)
{
	int paced = argc == 5 && !strcmp(argv[1], "pace");

	if (!paced && (argc != 4 || atoi(argv[1]) < 1 || atoi(argv[1]) > MOST_THREADS))
		return 2;
	for (size_t i = 0; i < sizeof(CALLS) / sizeof(*CALLS); i++)
		if (!strcmp(CALLS[i].name, argv[2]))
			make = CALLS[i].make;
	if (!make)
		return 2;
	return paced ? pace(atoi(argv[3]), atoi(argv[4])) : flood(atoi(argv[1]), argv[3]);
}
