/* Rows of hostile calls, one line each: what it is, and OK or the name of the errno.
 *
 *	rows kernel DIRECTORY		sizes of structs, names of types, spellings of paths: to be compared with the kernel's own answers
 *	rows capabilities DIRECTORY	a mount with CAP_SYS_ADMIN, without it in effect, with it again, without it for good
 *	rows authority PROTECTED	as root of a user namespace of its own, in a mount namespace that is not
 *	rows pivot PROTECTED		after pivot_root: the old root below /old, then gone, then a procfs
 *	rows descriptors		which descriptors of ours or the runtime's are found in process 1 and here
 *	rows namespaces			what leads from a namespace here to one outside
 *	rows tunable FILE		a sysctl that is one int: what is written in every odd way, and what is read in every odd way
 *	rows spy SECONDS		opens of processes that appear: how many were there, and what should not have been possible
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { FUSE_MAGIC = 0x65735546, OPENAT2 = 437, CLONE3 = 435, PIDFD_OPEN = 434, PIDFD_GETFD = 438, MOUNT_SETATTR = 442 };
enum { GET_USERNS = 0xb701, GET_PARENT = 0xb702 };
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static const char *said(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "OK";
}

static const char *virtual_at(const char *node)
{
	struct statfs fs;

	return statfs(node, &fs) < 0 ? strerrorname_np(errno) : fs.f_type == FUSE_MAGIC ? "virtual" : "real";
}

/* ---- kernel: C05, C06, C09, C11, C12 ---- */

static void in_a_namespace(const char *target, const char *type, unsigned long flags)
{
	int ret, tries = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
			printf("%s at [%.40s] %zu: ", type, target, strlen(target));
			/* The kernel counts links on when it begins a walk anew, as it does when mounts change meanwhile: 21 are too many then. */
			do
				ret = mount("none", target, type, flags, NULL);
			while (ret < 0 && errno == ELOOP && ++tries < 50);
			printf("%s, ", said(ret));
			do
				ret = umount2(target, MNT_DETACH);
			while (ret < 0 && errno == ELOOP && ++tries < 100);
			printf("%s\n", said(ret));
		}
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void sizes(void)
{
	static const size_t many[] = { 0, 1, 16, 23, 24, 25, 32, 64, 88, 4096, 4097, 1u << 31, 1ul << 62 };
	static unsigned char zero[8192], tail[8192];

	tail[200] = 1;
	for (size_t i = 0; i < COUNT(many); i++) {
		printf("openat2 %zx: %s\n", many[i], said(syscall(OPENAT2, AT_FDCWD, "/etc", zero, many[i])));
		printf("openat2 with a tail %zx: %s\n", many[i], said(syscall(OPENAT2, AT_FDCWD, "/etc", tail, many[i])));
		printf("mount_setattr %zx: %s\n", many[i], said(syscall(MOUNT_SETATTR, AT_FDCWD, "/", 0, zero, many[i])));
		if (many[i] < 64 || many[i] > 4096)
			printf("clone3 %zx: %s\n", many[i], said(syscall(CLONE3, zero, many[i])));
		printf("getxattr %zx: %s\n", many[i], said(getxattr("/etc", "user.none", zero, many[i])));
		printf("setxattr %zx: %s\n", many[i], many[i] > 65536 ? said(syscall(SYS_setxattr, "/etc", "user.none", zero, many[i], 0)) : "");
	}
}

static int kernel(char **w)
{
	static const char *const types[] = { "proc.", "proc ", "PROC", "fuse.proc", "fuseblk.x", "overlayfs", "tmpfs.x", ".proc", "proc.x", "ext4",
					     "", "sysfs ", "\xff\xfe", "proc\n", "nodev" };
	static const char *const spelled[] = { "", "/..", "/.", "/", "//", "/proc/../tmp", "/tmp/", "/tmp/.", "//tmp", "/tmp/..", "/proc/self/root/tmp",
					       "/nothing", "/etc/passwd", "/etc/passwd/", "/etc/passwd/x", "/proc/self/cwd", "/proc/self/root",
					       "/proc/thread-self/root", "/proc/self/fd/9999", "/proc/self/fd", "/dev/fd/9999", "/tmp/%s%n", "/tmp/\\040" };
	static const char *const made[] = { "new\nline", "esc\033[2J", "\xff\xfe", "%s%n", "a\\040b", "a b", "x//deleted" };
	char path[8192];

	if (chdir(w[0]) < 0)
		return 1;
	sizes();
	for (size_t i = 0; i < COUNT(types); i++)
		printf("type %zu: %s, umount %s\n", i, said(mount("none", w[0], types[i], 0, NULL)), said(umount2(w[0], MNT_DETACH)));
	for (size_t k = 0; k < 2; k++) {
		const char *type = k ? "proc" : "tmpfs";

		for (size_t i = 0; i < COUNT(spelled); i++)
			in_a_namespace(spelled[i], type, 0);
		in_a_namespace(".", type, 0xC0ED0000 | MS_RDONLY);
		in_a_namespace(".", type, MS_NOSUID);
		for (size_t i = 0; i < COUNT(made); i++) {
			mkdir("x", 0755);
			mkdir(made[i], 0755);
			in_a_namespace(made[i], type, 0);
		}
		memset(path, 'c', sizeof(path));
		path[255] = 0;
		mkdir(path, 0755);
		in_a_namespace(path, type, 0);
		path[255] = 'c';
		path[256] = 0;
		in_a_namespace(path, type, 0);
		path[256] = 'c';
		for (size_t i = 0; i < sizeof(path); i++)
			path[i] = i % 2 ? '/' : '.';
		path[4094] = 0;
		in_a_namespace(path, type, 0);
		path[4094] = '.';
		path[4095] = 0;
		in_a_namespace(path, type, 0);
		path[4095] = '/';
		path[4097] = 0;
		in_a_namespace(path, type, 0);
		for (int i = 0; i < 42; i++) {
			char from[32], to[32];

			snprintf(from, sizeof(from), "l%d", i);
			snprintf(to, sizeof(to), i ? "l%d" : "x", i - 1);
			if (symlink(to, from) < 0 && errno != EEXIST)
				return 1;
		}
		in_a_namespace("l38", type, 0);
		in_a_namespace("l39", type, 0);
		in_a_namespace("l40", type, 0);
	}
	return 0;
}

/* ---- A14, A16 ---- */

static int set_admin(int effective, int permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	const uint32_t bit = 1u << CAP_SYS_ADMIN;

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	data[0].effective = effective ? data[0].effective | bit : data[0].effective & ~bit;
	data[0].permitted = permitted ? data[0].permitted : data[0].permitted & ~bit;
	return (int)syscall(SYS_capset, &header, data);
}

static int capabilities(char **w)
{
	for (int step = 0; step < 4; step++) {
		if (step == 3)
			prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN);
		if (step && set_admin(step == 2, step < 3) < 0)
			return 1;
		printf("%s ", said(mount("none", w[0], "proc", 0, NULL)));
		printf("%s ", said(mount(NULL, w[0], NULL, MS_REMOUNT | MS_BIND, NULL)));
		printf("%s\n", said(umount2(w[0], 0)));
	}
	return 0;
}

static int authority(char **w)
{
	static const char lowers[] = "lowerdir=/etc:/home";
	int fd;

	printf("proc: %s\n", said(mount("none", "/tmp", "proc", 0, NULL)));
	printf("sysfs: %s\n", said(mount("none", "/tmp", "sysfs", 0, NULL)));
	printf("tmpfs: %s\n", said(mount("none", "/tmp", "tmpfs", 0, NULL)));
	printf("overlay: %s\n", said(mount("none", "/tmp", "overlay", 0, lowers)));
	printf("umount: %s\n", said(umount2("/proc/uptime", MNT_DETACH)));
	printf("umount of a volume: %s\n", said(umount2(w[0], 0)));
	printf("remount: %s\n", said(mount(NULL, w[0], NULL, MS_REMOUNT | MS_BIND, NULL)));
	printf("remount of proc: %s\n", said(mount(NULL, "/proc", NULL, MS_REMOUNT, "hidepid=2")));
	printf("bind: %s\n", said(mount("/etc", "/tmp", NULL, MS_BIND, NULL)));
	printf("mknod: %s\n", said(mknod("/tmp/device", S_IFCHR | 0600, makedev(1, 3))));
	printf("chown: %s\n", said(chown("/etc/passwd", 0, 0)));
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	printf("trusted: %s\n", said(fsetxattr(fd, "trusted.x", "y", 1, 0)));
	close(fd);
	printf("pivot_root: %s\n", said(syscall(SYS_pivot_root, "/tmp", "/tmp")));
	return 0;
}

/* ---- P7, E04 ---- */

static int pivot(char **w)
{
	char below[256];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/tmp", "tmpfs", 0, NULL) < 0 ||
	    mkdir("/tmp/old", 0755) < 0 || mkdir("/tmp/proc", 0755) < 0 || mkdir("/tmp/t", 0755) < 0 ||
	    syscall(SYS_pivot_root, "/tmp", "/tmp/old") < 0 || chdir("/") < 0) {
		printf("pivot_root: %s\n", said(-1));
		return 1;
	}
	snprintf(below, sizeof(below), "/old%s", w[0]);
	printf("node: %s\n", said(umount2("/old/proc/uptime", 0)));
	printf("node detached: %s\n", said(umount2("/old/proc/uptime", MNT_DETACH)));
	printf("writable: %s\n", said(mount(NULL, below, NULL, MS_REMOUNT | MS_BIND, NULL)));
	printf("volume detached: %s\n", said(umount2(below, MNT_DETACH)));
	printf("volume moved: %s\n", said(mount(below, "/t", NULL, MS_MOVE, NULL)));
	printf("proc beside: %s\n", said(mount("none", "/t", "proc", 0, NULL)));
	printf("it is %s\n", virtual_at("/t/uptime"));
	printf("gone: %s\n", said(umount2("/t", 0)));
	printf("old root detached: %s\n", said(umount2("/old", MNT_DETACH)));
	printf("proc: %s\n", said(mount("none", "/proc", "proc", 0, NULL)));
	printf("it is %s\n", virtual_at("/proc/uptime"));
	printf("its node: %s\n", said(umount2("/proc/uptime", MNT_DETACH)));
	return 0;
}

/* ---- B12 ---- */

static void tell_if_strange(const char *where, int fd)
{
	char path[64], link[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return;
	link[n] = 0;
	if (strstr(link, "seccomp") || strstr(link, "socket:") || strstr(link, "memfd") || strstr(link, "eventfd") || strstr(link, "eventpoll"))
		printf("%s: %s\n", where, link);
}

static int descriptors(char **w)
{
	int pidfd = (int)syscall(PIDFD_OPEN, 1, 0), found = 0;

	(void)w;
	for (int i = 3; i < 1024; i++)
		if (i != pidfd)
			tell_if_strange("here", i);
	for (int i = 0; i < 1024; i++) {
		int fd = (int)syscall(PIDFD_GETFD, pidfd, i, 0);

		if (fd < 0)
			continue;
		found++;
		tell_if_strange("process 1", fd);
		close(fd);
	}
	printf("%s looked at\n", found ? "process 1" : said(-1));
	return 0;
}

/* ---- I01 ---- */

static int namespaces(char **w)
{
	static const char *const kinds[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" };
	int pidfd = (int)syscall(PIDFD_OPEN, 1, 0);

	(void)w;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		char path[64];
		int fd, up;

		snprintf(path, sizeof(path), "/proc/1/ns/%s", kinds[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		up = ioctl(fd, GET_PARENT);
		printf("parent of %s: %s\n", kinds[i], said(up));
		up = ioctl(fd, GET_USERNS);
		printf("owner of %s: %s\n", kinds[i], said(up));
		if (up >= 0)
			printf("its parent: %s\n", said(ioctl(up, GET_PARENT)));
	}
	printf("by pidfd: %s\n", said(setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS)));
	return 0;
}

/* ---- K04, K05 ---- */

static void written(const char *path, const char *name, const char *text, size_t length, off_t at, int how)
{
	char now[64] = "";
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t wrote, got;

	if (fd < 0 || write(fd, "5\n", 2) != 2)
		printf("%s first: %s\n", name, said(-1));
	close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC | how);
	wrote = pwrite(fd, text, length, at);
	printf("%s: %s %zd, ", name, said(wrote), wrote < 0 ? 0 : wrote);
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = read(fd, now, sizeof(now) - 1);
	close(fd);
	now[got > 0 ? got - 1 : 0] = 0;
	printf("then [%s]\n", now);
}

static void read_back(const char *path)
{
	char one[64] = "";
	struct iovec vector = { one, sizeof(one) };
	int fd = open(path, O_RDONLY | O_CLOEXEC), n = 0;

	while (n < 60 && read(fd, one + n, 1) == 1)
		n++;
	printf("byte by byte: [%.*s]\n", n ? n - 1 : 0, one);
	printf("past the end: %zd\n", pread(fd, one, 10, 1000));
	printf("far past the end: %zd\n", pread(fd, one, 10, 1l << 40));
	printf("in the middle: %zd\n", pread(fd, one, 10, 1));
	printf("preadv2: %zd\n", preadv2(fd, &vector, 1, 0, 0));
	printf("lseek: %ld\n", (long)lseek(fd, 1, SEEK_SET));
	printf("nothing: %zd\n", read(fd, one, 0));
	printf("bad address: %s\n", said(syscall(SYS_pread64, fd, 8, 10, 0)));
	close(fd);
}

static int tunable(char **w)
{
	static const char *const texts[] = { "", "\n", "  7 ", "0x7", "-1", "99999999999999999999", "7 8", "7x", "seven", "07", "7", "+7", "\t7\n",
					     "7\n8", "7\n\n", "-", "--7", "0", "2147483647", "2147483648", "-2147483648", "\xd9\xa7", "7,8" };
	static char big[1 << 20];

	for (size_t i = 0; i < COUNT(texts); i++) {
		char name[64];

		snprintf(name, sizeof(name), "text %zu", i);
		written(w[0], name, texts[i], strlen(texts[i]), 0, 0);
	}
	written(w[0], "with a NUL", "7\0", 2, 0, 0);
	written(w[0], "NUL in the middle", "7\0008", 3, 0, 0);
	written(w[0], "appended", "7", 1, 0, O_APPEND);
	written(w[0], "truncated", "7", 1, 0, O_TRUNC);
	memset(big, 'a', sizeof(big));
	written(w[0], "a page", big, 4096, 0, 0);
	written(w[0], "128 KiB", big, 128 << 10, 0, 0);
	memset(big, '\n', sizeof(big));
	written(w[0], "a million newlines", big, sizeof(big), 0, 0);
	read_back(w[0]);
	return 0;
}

/* ---- J01, J03: processes that appear during exec, before they are the container's ---- */

static void look_into(int pid, int *strange)
{
	static const char *const files[] = { "mem", "environ", "exe", "fd/0", "map_files" };
	char path[64], link[256];
	ssize_t n;
	int exe;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return;		/* EACCES, or gone: as it shall be */
	link[n] = 0;
	if (!strstr(link, "runc") && !strstr(link, "crun") && !strstr(link, "eci") && !strstr(link, "memfd"))
		return;
	++*strange;
	for (size_t i = 0; i < COUNT(files); i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			printf("opened %s of %s\n", files[i], link);
		close(fd);
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	exe = open(path, O_PATH | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", exe);
	usleep(20000);
	for (int i = 0; exe >= 0 && i < 50; i++) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			printf("opened %s for writing\n", link);
			break;
		}
		usleep(1000);
	}
	close(exe);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0)
		printf("seized %s\n", link);
}

static int spy(char **w)
{
	struct timespec at;
	double until;
	int most = getpid(), seen = 0, strange = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	until = (double)at.tv_sec + atof(w[0]);
	printf("watching\n");
	fflush(stdout);
	do {
		DIR *proc = opendir("/proc");
		struct dirent *entry;

		while (proc && (entry = readdir(proc))) {
			int pid = atoi(entry->d_name);

			if (pid > most) {
				seen++;
				look_into(pid, &strange);
			}
		}
		closedir(proc);
		clock_gettime(CLOCK_MONOTONIC, &at);
	} while ((double)at.tv_sec < until);
	printf("%s, %s\n", seen ? "some seen" : "none seen", strange ? "some looked into" : "none looked into");
	return 0;
}

static const struct {
	const char *name;
	int words;
	int (*run)(char **words);
} ROWS[] = { { "kernel", 1, kernel }, { "capabilities", 1, capabilities }, { "authority", 1, authority }, { "pivot", 1, pivot },
	     { "descriptors", 0, descriptors }, { "namespaces", 0, namespaces }, { "tunable", 1, tunable },
	     { "spy", 1, spy } };

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COUNT(ROWS); i++)
		if (!strcmp(ROWS[i].name, argv[1]) && argc - 2 >= ROWS[i].words)
			return ROWS[i].run(argv + 2);
	return 2;
}
