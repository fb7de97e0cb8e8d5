/* Threads whose vetted calls have all their arguments rewritten by other threads while they are judged, in one process that shares
 * memory, descriptors, root and working directory.
 *
 *	rewriter SECONDS PROTECTED WRITABLE PLACE		PLACE: a writable directory; in it t0 t1 d and the link `link` are made
 *	rewriter storm ROUNDS PLACE			emulated mounts and umounts under a timer's signals; then counts what is mounted
 *	rewriter gone ROUNDS PLACE				callers that die, exec, change root or are killed with a call on its way
 *
 * The racers run when the leader of their thread group has exited. Prints what was broken, and last how much was tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, MOUNT_SETATTR = 442 };
enum { CALLERS = 4, SLOT = 100, TEXT = 64, PROC_MAGIC = 0x9fa0, FUSE_MAGIC = 0x65735546, MOST_BROKEN = 5 };
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static _Atomic int over, broken;
static _Atomic long tried, succeeded;
static const char *protected, *writable, *place;
static char target[TEXT], other[TEXT], type[TEXT], data[TEXT];	/* what every call is given */
static struct { uint64_t set, clear, propagation, userns; } attributes;
static char targets[9][TEXT];

static uint32_t chance(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void say(const char *what)
{
	if (broken++ < MOST_BROKEN)
		printf("broken: %s\n", what);
}

/* ---- those who rewrite ---- */

static void *rewrite(void *unused)
{
	static const char *const types[] = { "tmpfs", "proc", "sysfs", "", "ext4" };
	static const char *const options[] = { "", "hidepid=2", "size=4k", "nonsense" };
	uint32_t state = 77;

	(void)unused;
	while (!over) {
		strcpy(target, targets[chance(&state) % COUNT(targets)]);
		strcpy(other, targets[chance(&state) % COUNT(targets)]);
		strcpy(type, types[chance(&state) % COUNT(types)]);
		strcpy(data, options[chance(&state) % COUNT(options)]);
		attributes.set = chance(&state) & 0xf;
		attributes.clear = chance(&state) & 0xf;
		for (volatile int spin = 0; spin < 300; spin++)
			;
	}
	return NULL;
}

/* Links are exchanged, directories renamed, mounts put on them and taken away, cwd and one descriptor changed. */
static void *shuffle(void *unused)
{
	uint32_t state = 99;
	char link[TEXT], fresh[TEXT], directory[TEXT], away[TEXT];

	(void)unused;
	snprintf(link, sizeof(link), "%s/link", place);
	snprintf(fresh, sizeof(fresh), "%s/fresh", place);
	snprintf(directory, sizeof(directory), "%s/dd", place);
	snprintf(away, sizeof(away), "%s/away", place);
	while (!over) {
		const char *at = targets[chance(&state) % COUNT(targets)];
		int fd = open(at, (chance(&state) & 1 ? O_PATH : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);

		if (symlink(at, fresh) == 0)
			rename(fresh, link);
		if (rename(directory, away) == 0)
			rename(away, directory);
		if (fd >= 0) {
			dup2(fd, SLOT);
			close(fd);
		}
		if (chdir(chance(&state) & 1 ? at : place) < 0)
			continue;
		if (mount("shuffle", directory, "tmpfs", 0, NULL) == 0)
			umount2(directory, MNT_DETACH);
	}
	return NULL;
}

/* ---- those who call ---- */

static long a_call(uint32_t *state)
{
	const unsigned long flags = chance(state) % 2 ? MS_RDONLY : 0;
	char own[TEXT];

	snprintf(own, sizeof(own), "/proc/self/fd/%d", SLOT);
	switch (chance(state) % 16) {
	case 0:
	case 1:
		return mount(other, target, type, flags, data);
	case 2:
		return mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL);
	case 3:
		return mount(NULL, target, NULL, MS_REMOUNT | flags, data);
	case 4:
		return mount(other, target, NULL, MS_BIND | (flags ? MS_REC : 0), NULL);
	case 5:
		return mount(other, target, NULL, MS_MOVE, NULL);
	case 6:
		return mount(other, own, type, flags, data);
	case 7:
		return umount2(own, 0);
	case 8:
		return umount2(target, chance(state) & 0xf & ~MNT_DETACH);
	case 9:
		return mount(NULL, "link", NULL, MS_REMOUNT | MS_BIND, NULL);
	case 10:
		return umount2(".", 0);
	case 11:
		return syscall(MOUNT_SETATTR, AT_FDCWD, target, 0, &attributes, sizeof(attributes));
	case 12:
		return syscall(MOVE_MOUNT, AT_FDCWD, other, AT_FDCWD, target, 0);
	case 13: {
		long tree = syscall(OPEN_TREE, AT_FDCWD, target, 1 | O_CLOEXEC);

		return tree < 0 ? -1 : close((int)tree);
	}
	case 14:
		return setns(SLOT, 0);
	default:
		return umount2(other, 0);
	}
}

static void *make_calls(void *number)
{
	uint32_t state = 1000 + (uint32_t)(uintptr_t)number;

	while (!over) {
		succeeded += a_call(&state) >= 0;
		tried++;
	}
	return NULL;
}

/* ---- who looks ---- */

static void look_at_tree(const char *at)
{
	int tree = open(at, O_PATH | O_CLOEXEC), node;
	struct statfs fs;

	if (tree >= 0 && fstatfs(tree, &fs) == 0 && fs.f_type == PROC_MAGIC) {
		node = openat(tree, "uptime", O_PATH | O_CLOEXEC);
		if (node >= 0 && fstatfs(node, &fs) == 0 && fs.f_type == PROC_MAGIC)
			say("a procfs without its nodes");
		if (node >= 0)
			close(node);
	}
	if (tree >= 0)
		close(tree);
}

static void *look(void *unused)
{
	char t[2][TEXT];
	int volume = open(protected, O_PATH | O_CLOEXEC);
	struct statvfs fs;

	(void)unused;
	for (int i = 0; i < 2; i++)
		snprintf(t[i], sizeof(t[i]), "%s/t%d", place, i);
	while (!over) {
		if (fstatvfs(volume, &fs) < 0 || !(fs.f_flag & ST_RDONLY))
			say("the protected volume is writable");
		look_at_tree(t[0]);
		look_at_tree(t[1]);
		look_at_tree("/proc");
	}
	return NULL;
}

/* What they have mounted goes; what was there first is locked and stays. */
static void tidy(void)
{
	for (int busy = 1, rounds = 0; busy && rounds < 10000; rounds++) {
		busy = 0;
		for (size_t i = 0; i < COUNT(targets); i++)
			if (strcmp(targets[i], "/proc") && strcmp(targets[i], writable))
				busy |= umount2(targets[i], MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
	}
}

static void *conduct(void *seconds)
{
	pthread_t threads[CALLERS + 3];
	int n = 0;

	pthread_create(&threads[n++], NULL, rewrite, NULL);
	pthread_create(&threads[n++], NULL, shuffle, NULL);
	pthread_create(&threads[n++], NULL, look, NULL);
	for (uintptr_t i = 0; i < CALLERS; i++)
		pthread_create(&threads[n++], NULL, make_calls, (void *)i);
	usleep((useconds_t)(atof(seconds) * 1e6));
	over = 1;
	while (n)
		pthread_join(threads[--n], NULL);
	if (chdir("/") == 0)
		tidy();
	printf("%d broken, %s tried, %s succeeded\n", broken, tried > 100 ? "many" : "few", succeeded > 10 ? "many" : "few");
	exit(0);
}

static int race(char **w)
{
	/* None so short that half of it over half of another one is "/proc/", which anybody inside may move. */
	const char *const named[] = { "t0", "t1", "dd", "link", "dd/below" };
	pthread_t thread;
	char path[TEXT];
	size_t n = 0;

	protected = w[1];
	writable = w[2];
	place = w[3];
	for (; n < COUNT(named); n++) {
		snprintf(targets[n], TEXT, "%s/%s", place, named[n]);
		if (strcmp(named[n], "link"))
			mkdir(targets[n], 0755);
	}
	snprintf(path, sizeof(path), "%s/t0", place);
	if (symlink(path, targets[3]) < 0)
		return 1;
	strcpy(targets[n++], protected);
	strcpy(targets[n++], writable);
	strcpy(targets[n++], "/proc/uptime");
	strcpy(targets[n++], "/proc/self/cwd");
	strcpy(target, targets[0]);
	strcpy(other, targets[1]);
	pthread_create(&thread, NULL, conduct, w[0]);
	pthread_exit(NULL);	/* the leader */
}

/* ---- storm ---- */

static volatile int alarms_left;

/* The last of a burst. */
static void on_alarm(int signal)
{
	(void)signal;
	if (--alarms_left == 0)
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
}

/* A burst of `count` signals, the first of them after `us`. */
static void alarm_in(suseconds_t us, int count)
{
	struct itimerval soon = { { 0, us && count > 1 ? 110 : 0 }, { 0, us } };

	alarms_left = count;
	setitimer(ITIMER_REAL, &soon, NULL);
}

static int mounted_at(const char *at)
{
	char line[4096], wanted[TEXT + 2];
	FILE *table = fopen("/proc/self/mountinfo", "r");
	int count = 0;

	snprintf(wanted, sizeof(wanted), " %s ", at);
	while (table && fgets(line, sizeof(line), table))
		count += strstr(line, wanted) != NULL;
	if (table)
		fclose(table);
	return count;
}

/* What was mounted for a caller that was interrupted is taken back, a moment later. */
static int settles_at(const char *at, int wanted)
{
	for (int i = 0; i < 600 && mounted_at(at) != wanted; i++)
		usleep(500);
	return mounted_at(at) == wanted;
}

/* One mount under a signal: 1 if it is there, exactly once; 0 if it was interrupted, and is not there; -1 otherwise. A caller that was
 * interrupted either finds nothing a moment later, or makes the same call again and finds what the first has mounted.
 */
static int mount_once(int round, const char *at)
{
	int ret, first;

	alarm_in(20 + round * 7 % 130, round & 4 ? 20 : 1);
	ret = first = mount("storm", at, "proc", 0, NULL) ? errno : 0;
	alarm_in(0, 0);
	if (ret == EINTR && !(round & 2) && settles_at(at, 0))
		return 0;
	if (ret == EINTR)
		ret = mount("storm", at, "proc", 0, NULL) ? errno : 0;
	if (ret == 0 && mounted_at(at) == 1)
		return 1;
	printf("round %d: first %d, then %d, mounted %d\n", round, first, ret, mounted_at(at));
	return -1;
}

/* Signals at an uneven pace, one or a burst of them, most while a call is being judged. */
static int storm(char **w)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int rounds = atoi(w[0]), wrong = 0, mounted = 0, interrupted = 0;

	for (int i = 0; i < rounds; i++) {
		int ret;

		action.sa_flags = i & 1 ? SA_RESTART : 0;
		sigaction(SIGALRM, &action, NULL);
		ret = mount_once(i, w[1]);
		mounted += ret > 0;
		interrupted += !ret;
		wrong += ret < 0;
		if (!ret)
			continue;
		alarm_in(30 + i * 53 % 500, i & 8 ? 20 : 1);
		do
			ret = umount2(w[1], 0) ? errno : 0;
		while (ret == EINTR && mounted_at(w[1]));
		alarm_in(0, 0);
		if (mounted_at(w[1])) {
			printf("round %d: umount %d, mounted %d\n", i, ret, mounted_at(w[1]));
			wrong++;
		}
		while (umount2(w[1], MNT_DETACH) == 0)
			;
	}
	printf("mounted %d, interrupted %d, wrong %d\n", mounted, interrupted, wrong);
	return 0;
}

/* ---- gone: B02, and what happens to a caller between its call and the answer ---- */

static void *mounts(void *at)
{
	for (;;) {
		mount("gone", at, "proc", 0, NULL);
		umount2(at, 0);
	}
	return NULL;
}

static int gone(char **w)
{
	for (int i = 0; i < atoi(w[0]); i++) {
		pid_t pid = fork();
		pthread_t thread;
		int status;

		if (!pid) {
			pthread_create(&thread, NULL, mounts, w[1]);
			usleep((useconds_t)(i * 97 % 1500));
			if (i % 4 == 0)
				execl("/bin/true", "true", NULL);
			if (i % 4 == 1)
				_exit(0);
			if (i % 4 == 2 && (chroot(w[1]) < 0 || chdir("/") < 0))
				_exit(1);
			usleep(500);
			kill(getpid(), SIGKILL);
		}
		waitpid(pid, &status, 0);
		if (i % 4 < 2 && (!WIFEXITED(status) || WEXITSTATUS(status)))
			say("an exec or an exit failed");
	}
	while (umount2(w[1], MNT_DETACH) == 0)
		;
	printf("%d broken\n", broken);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "storm"))
		return storm(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "gone"))
		return gone(argv + 2);
	return argc == 5 ? race(argv + 1) : 2;
}
