/* Makes system calls as hostile code would, and prints what each of them got.
 *
 *	probe OP [WORD...] [, OP [WORD...]]...
 *
 * One line an operation: its name, a colon, OK or the name of the errno; the rest goes on whatever came out. All run in one process,
 * so that `userns , unshare mnt , mount proc /mnt proc -` is what it looks like. "-" stands for NULL or for no flags.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "operations.h"

#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 1
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

enum { CONFIG_CREATE = 6, TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, SIGNAL_PERIOD_US = 100, MOST_SIGNALS = 20 };

struct attributes {
	uint64_t set, clear, propagation, userns;
};

struct name {
	const char *word;
	unsigned long value;
};

static const struct name FLAGS[] = {
	{ "bind", MS_BIND }, { "rec", MS_REC }, { "remount", MS_REMOUNT }, { "ro", MS_RDONLY }, { "move", MS_MOVE },
	{ "private", MS_PRIVATE }, { "shared", MS_SHARED }, { "slave", MS_SLAVE }, { "nosuid", MS_NOSUID }, { "nodev", MS_NODEV },
	{ "noexec", MS_NOEXEC }, { "magic", 0xC0ED0000 }, { "detach", MNT_DETACH }, { "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS },
	{ "pid", CLONE_NEWPID }, { "net", CLONE_NEWNET }, { "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS }, { "cgroup", CLONE_NEWCGROUP },
};

static int mount_fd = -1;	/* of the last fsopen */

static const char *text(const char *word)
{
	return word && strcmp(word, "-") ? word : NULL;
}

static unsigned long flags(const char *word)
{
	unsigned long value = 0;
	char *copy = strdup(word ? word : "-"), *at = copy, *part;

	while ((part = strsep(&at, "+"))) {
		for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++)
			if (!strcmp(part, FLAGS[i].word))
				value |= FLAGS[i].value;
	}
	free(copy);
	return value;
}

static int op_mount(char **w)
{
	return mount(text(w[0]), text(w[1]), text(w[2]), flags(w[3]), text(w[4]));
}

/* As inner runtimes do since 2021: the target is opened first, and named by its number. */
static int op_mount_fd(char **w)
{
	char target[64];
	int ret, fd = open(w[1], O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	ret = mount(text(w[0]), target, text(w[2]), flags(w[3]), text(w[4]));
	close(fd);
	return ret;
}

/* The source by its number instead. */
static int op_mount_of(char **w)
{
	char source[64];
	int ret, fd = open(w[0], O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	ret = mount(source, text(w[1]), text(w[2]), flags(w[3]), text(w[4]));
	close(fd);
	return ret;
}

static int op_umount(char **w)
{
	return umount2(w[0], (int)flags(w[1]));
}

static int op_unshare(char **w)
{
	return unshare((int)flags(w[0]));
}

static int store(const char *path, const char *value)
{
	int ret, fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ret = write(fd, value, strlen(value)) < 0 ? -1 : 0;
	close(fd);
	return ret;
}

static int op_userns(char **w)
{
	char map[32];
	gid_t group = getegid();

	(void)w;
	snprintf(map, sizeof(map), "0 %d 1", geteuid());
	if (unshare(CLONE_NEWUSER) || store("/proc/self/uid_map", map) || store("/proc/self/setgroups", "deny"))
		return -1;
	snprintf(map, sizeof(map), "0 %d 1", group);
	return store("/proc/self/gid_map", map);
}

static int op_setns(char **w)
{
	int ret, fd = open(w[0], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ret = setns(fd, (int)flags(w[1]));
	close(fd);
	return ret;
}

static int op_fork(char **w)
{
	pid_t pid = fork();
	int status;

	(void)w;
	if (pid <= 0)
		return pid;
	waitpid(pid, &status, 0);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int op_chroot(char **w)
{
	return chroot(w[0]);
}

static int op_chdir(char **w)
{
	return chdir(w[0]);
}

static int op_setuid(char **w)
{
	if (setgid((gid_t)atoi(w[0])) || setuid((uid_t)atoi(w[0])))
		return -1;
	return prctl(PR_SET_DUMPABLE, 1);	/* as after an exec: its files in /proc are its own again */
}

static int op_open(char **w)
{
	int how = !w[1] || !strcmp(w[1], "r") ? O_RDONLY : !strcmp(w[1], "w") ? O_WRONLY : O_RDWR;
	int fd = open(w[0], how | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int op_write(char **w)
{
	return store(w[0], w[1]);
}

static int op_mknod(char **w)
{
	return mknod(w[0], (w[1][0] == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(atoi(w[2]), atoi(w[3])));
}

/* fsopen TYPE [unmarked]: up to fsmount. Without the mark of a context that is ours the kernel decides. */
static int op_fsopen(char **w)
{
	int fs = (int)syscall(SYS_fsopen, w[0], 1);

	if (fs >= 0 && w[1] && !strcmp(w[1], "unmarked"))
		fcntl(fs, F_SETSIG, 0);
	if (fs < 0 || syscall(SYS_fsconfig, fs, CONFIG_CREATE, NULL, NULL, 0))
		return -1;
	mount_fd = (int)syscall(SYS_fsmount, fs, 1, 0);
	return mount_fd < 0 ? -1 : 0;
}

static int op_move_mount(char **w)
{
	return (int)syscall(SYS_move_mount, AT_FDCWD, w[0], AT_FDCWD, w[1], 0);
}

/* A clone, attached by its descriptor: as mount(8) binds. */
static int op_open_onto(char **w)
{
	int ret, fd = (int)syscall(SYS_open_tree, AT_FDCWD, w[0], TREE_CLONE | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ret = (int)syscall(SYS_move_mount, fd, "", AT_FDCWD, w[1], 4);
	close(fd);
	return ret;
}

static int op_open_tree(char **w)
{
	int how = TREE_CLONE | O_CLOEXEC | (w[1] && !strcmp(w[1], "rec") ? TREE_RECURSIVE : 0);
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, w[0], how);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int op_open_tree_attr(char **w)
{
	struct attributes none = { 0 };
	int fd = (int)syscall(467, AT_FDCWD, w[0], TREE_CLONE | O_CLOEXEC, &none, sizeof(none));

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int op_writable(char **w)
{
	struct attributes wanted = { .clear = MOUNT_ATTR_RDONLY };

	return (int)syscall(SYS_mount_setattr, AT_FDCWD, w[0], 0, &wanted, sizeof(wanted));
}

static int op_statfs(char **w)
{
	struct statfs fs;

	if (statfs(w[0], &fs))
		return -1;
	printf("%s is %lx\n", w[0], (unsigned long)fs.f_type);
	return 0;
}

static int op_pivot(char **w)
{
	return (int)syscall(SYS_pivot_root, w[0], w[1]);
}

static int op_mkdir(char **w)
{
	return mkdir(w[0], 0755);
}

static int op_rename(char **w)
{
	return rename(w[0], w[1]);
}

static int op_exec(char **w)
{
	return execvp(w[0], w);
}

static const char *result(int ret)
{
	return ret < 0 ? strerrorname_np(errno) : "OK";
}

/* A string whose page behind it is missing, at its very end, and one with no end at all; pointers to nothing. */
static int op_pointers(char **w)
{
	long page = sysconf(_SC_PAGESIZE);
	char *area = mmap(NULL, 4 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *bad = (char *)8, *none = area + 3 * page, *edge = none - 6, *endless = none - 64, *closed;

	(void)w;
	munmap(none, (size_t)page);
	memcpy(edge, "tmpfs", 6);
	printf("edge: %s\n", result(mount("x", "/t", edge, 0, NULL)));
	umount2("/t", MNT_DETACH);
	memset(endless, 'a', 64);
	printf("unterminated type: %s\n", result(mount("x", "/t", endless, 0, NULL)));
	printf("bad target: %s\n", result(mount("x", bad, "tmpfs", 0, NULL)));
	printf("bad source: %s\n", result(mount(bad, "/t", "tmpfs", 0, NULL)));
	printf("bad type: %s\n", result(mount("x", "/t", bad, 0, NULL)));
	printf("bad data: %s\n", result(mount("x", "/t", "tmpfs", 0, bad)));
	printf("kernel target: %s\n", result(mount("x", (char *)-4096L, "tmpfs", 0, NULL)));
	printf("no target: %s\n", result(mount("x", NULL, "tmpfs", 0, NULL)));
	printf("no type: %s\n", result(mount("x", "/t", NULL, 0, NULL)));
	printf("empty target: %s\n", result(mount("x", "", "tmpfs", 0, NULL)));
	memset(area, 'a', 2 * (size_t)page);
	printf("long target: %s\n", result(mount("x", area, "proc", 0, NULL)));
	printf("long type: %s\n", result(mount("x", "/t", area, 0, NULL)));
	printf("bad umount: %s\n", result(umount2(bad, 0)));
	closed = mmap(NULL, (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("closed type: %s\n", result(mount("x", "/t", closed, 0, NULL)));
	return 0;
}

struct storm {
	char target[256];
	const char *type;
	int rounds, mounted, failed;
};

static void *storm_thread(void *arg)
{
	struct storm *storm = arg;

	for (int i = 0; i < storm->rounds; i++) {
		if (mount("storm", storm->target, storm->type, 0, NULL)) {
			storm->failed++;
			continue;
		}
		storm->mounted++;
		if (umount2(storm->target, 0))
			storm->failed++;
	}
	return NULL;
}

/* storm THREADS ROUNDS DIRECTORY TYPE: each thread mounts and unmounts on a directory of its own. */
static int op_storm(char **w)
{
	enum { MOST = 64 };
	static struct storm storms[MOST];
	pthread_t threads[MOST];
	int count = atoi(w[0]) > MOST ? MOST : atoi(w[0]), mounted = 0, failed = 0;

	for (int i = 0; i < count; i++) {
		snprintf(storms[i].target, sizeof(storms[i].target), "%s/%d", w[2], i);
		storms[i].rounds = atoi(w[1]);
		storms[i].type = w[3];
		mkdir(storms[i].target, 0755);
	}
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, storm_thread, &storms[i]);
	for (int i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		mounted += storms[i].mounted;
		failed += storms[i].failed;
	}
	printf("mounted %d, failed %d\n", mounted, failed);
	return 0;
}

static volatile int alarms;

/* A bounded number: a caller that gives nobody the time to answer waits for ever, and should. */
static void on_alarm(int signal)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	(void)signal;
	if (++alarms >= MOST_SIGNALS)
		setitimer(ITIMER_REAL, &never, NULL);
}

/* signals ROUNDS TARGET TYPE: mounts under SIGALRM at 10 kHz; says how often a success left anything but one mount. */
static int op_signals(char **w)
{
	struct itimerval often = { { 0, SIGNAL_PERIOD_US }, { 0, SIGNAL_PERIOD_US } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int wrong = 0, interrupted = 0, mounted = 0;

	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < atoi(w[0]); i++) {
		int ret, count = 0;

		alarms = 0;
		setitimer(ITIMER_REAL, &often, NULL);
		ret = mount("signals", w[1], w[2], 0, NULL);
		interrupted += ret && errno == EINTR;
		setitimer(ITIMER_REAL, &never, NULL);
		while (!umount2(w[1], 0))
			count++;
		mounted += !ret;
		wrong += count != !ret;
	}
	printf("mounted %d, interrupted %d, wrong %d\n", mounted, interrupted, wrong);
	return 0;
}

/* killed ROUNDS TARGET TYPE: a child that mounts is killed after 0 to 300 µs. Leaves at most what calls that returned have made. */
static int op_killed(char **w)
{
	for (int i = 0; i < atoi(w[0]); i++) {
		pid_t pid = fork();

		if (!pid) {
			mount("killed", w[1], w[2], 0, NULL);
			umount2(w[1], 0);
			_exit(0);
		}
		usleep((useconds_t)(i * 7 % 300));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return 0;
}

static const struct operation OPS[] = {
	{ "mount", 4, op_mount }, { "mount-fd", 4, op_mount_fd }, { "mount-of", 4, op_mount_of }, { "umount", 1, op_umount }, { "unshare", 1, op_unshare },
	{ "userns", 0, op_userns }, { "setns", 1, op_setns }, { "fork", 0, op_fork }, { "chroot", 1, op_chroot }, { "chdir", 1, op_chdir },
	{ "setuid", 1, op_setuid }, { "open", 1, op_open }, { "write", 2, op_write }, { "mknod", 4, op_mknod }, { "fsopen", 1, op_fsopen },
	{ "move-mount", 2, op_move_mount }, { "open-tree", 1, op_open_tree }, { "open-onto", 2, op_open_onto },
	{ "open-tree-attr", 1, op_open_tree_attr }, { "writable", 1, op_writable }, { "statfs", 1, op_statfs },
	{ "pivot", 2, op_pivot }, { "mkdir", 1, op_mkdir }, { "rename", 2, op_rename },
	{ "exec", 1, op_exec }, { "pointers", 0, op_pointers }, { "storm", 4, op_storm }, { "signals", 3, op_signals },
	{ "killed", 3, op_killed },
};

int main(int argc, char **argv)
{
	return operate(OPS, sizeof(OPS) / sizeof(OPS[0]), 0, argc, argv);
}
