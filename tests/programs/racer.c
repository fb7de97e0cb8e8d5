/* Races on the mount family: what a call names changes while it is judged. The effect is that of what was judged, or an errno.
 *
 *	racer SECONDS READONLY WRITABLE TARGET
 *
 * Runs in a mount namespace of its own. One line a race: its name, how often something came of it that must not be, "of" the calls made
 * ("some" of them succeeded, or "none").
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_TREE = 428, MOVE_MOUNT = 429, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, MOUNT_SETATTR = 442 };
enum { CREATE = 6, RECONFIGURE = 7, SLOT = 60, CALLS = 60 };	/* at least that many calls, however slow the machine */
#define FUSE_MAGIC 0x65735546
#define PROC_MAGIC 0x9fa0

static const char *protected, *writable, *target;
static double seconds;
static _Atomic int over;
static char text[256];
static const char *texts[2];
static int fds[2];
static struct { uint64_t set, clear, propagation, userns; } attributes;

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void spin(void)
{
	for (volatile int i = 0; i < 300; i++)
		;
}

static void *flip_text(void *unused)
{
	(void)unused;
	for (int i = 0; !over; i = !i, spin())
		memcpy(text, texts[i], strlen(texts[i]) + 1);
	return NULL;
}

static void *flip_fd(void *unused)
{
	(void)unused;
	for (int i = 0; !over; i = !i, spin())
		if (fds[i] >= 0)
			dup2(fds[i], SLOT);
	return NULL;
}

static void *flip_struct(void *unused)
{
	(void)unused;
	for (int i = 0; !over; i = !i, spin()) {
		memcpy(text, texts[i], strlen(texts[i]) + 1);
		attributes.set = (uint64_t)i;
		attributes.clear = (uint64_t)!i;
	}
	return NULL;
}

/* A procfs at `path` that shows the kernel's own file. */
static int raw(const char *path)
{
	struct statfs at, node;
	char name[300];

	snprintf(name, sizeof(name), "%s/uptime", path);
	return statfs(path, &at) == 0 && at.f_type == PROC_MAGIC && statfs(name, &node) == 0 && node.f_type != FUSE_MAGIC;
}

static int raw_fd(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return raw(path);
}

static int not_read_only(void)
{
	struct statvfs fs;

	return statvfs(protected, &fs) < 0 || !(fs.f_flag & ST_RDONLY);
}

static int context(const char *type)
{
	int fd = (int)syscall(FSOPEN, type, 1);

	if (fd >= 0 && syscall(FSCONFIG, fd, CREATE, NULL, NULL, 0) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Each of these makes one call: below 0 if it was refused, 1 if what came of it is wrong. */

static int race_bind(void)
{
	int ret = mount(text, target, NULL, MS_BIND, NULL) < 0 ? -1 : raw(target);

	umount2(target, MNT_DETACH);
	return ret;
}

static int race_open_tree(void)
{
	int fd = (int)syscall(OPEN_TREE, AT_FDCWD, text, 1 | O_CLOEXEC), ret = fd < 0 ? -1 : raw_fd(fd);

	close(fd);
	return ret;
}

static int race_fsopen(void)
{
	int fd = context(text), mount = fd < 0 ? -1 : (int)syscall(FSMOUNT, fd, 1, 0), ret = mount < 0 ? -1 : raw_fd(mount);

	close(mount);
	close(fd);
	return ret;
}

static int race_fsmount(void)
{
	int mount, ret;

	fds[0] = context("proc");
	fds[1] = context("tmpfs");
	dup2(fds[0], SLOT);
	mount = (int)syscall(FSMOUNT, SLOT, 1, 0);
	ret = mount < 0 ? -1 : raw_fd(mount);
	close(mount);
	for (int i = 0; i < 2; i++) {
		int fd = fds[i];

		fds[i] = -1;
		close(fd);
	}
	return ret;
}

static int race_setattr(void)
{
	int ret = (int)syscall(MOUNT_SETATTR, AT_FDCWD, text, 0, &attributes, sizeof(attributes));

	return not_read_only() ? 1 : ret;
}

static int race_reconfigure(void)
{
	int ret = (int)syscall(FSCONFIG, SLOT, RECONFIGURE, NULL, NULL, 0);

	for (int i = 0; i < 2; i++)
		syscall(FSCONFIG, fds[i], 0, "rw", NULL, 0);
	return not_read_only() ? 1 : ret;
}

static int race_umount(void)
{
	int ret = mount("proc", target, "proc", 0, NULL);

	ret = ret < 0 ? ret : umount2(text, 0);
	umount2(target, MNT_DETACH);
	return raw("/proc") ? 1 : ret;
}

static void race(const char *name, void *(*flip)(void *), int (*once)(void), const char *one, const char *other)
{
	double until = now() + seconds;
	long calls = 0, broken = 0, done = 0;
	pthread_t thread;

	texts[0] = one;
	texts[1] = other;
	strcpy(text, one);
	over = 0;
	pthread_create(&thread, NULL, flip, NULL);
	for (; now() < until || calls < CALLS; calls++) {
		int ret = once();

		broken += ret > 0;
		done += ret == 0;
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("%s: %ld of %s\n", name, broken, done ? "some" : "none");
}

int main(int argc, char **argv)
{
	if (argc < 5 || unshare(CLONE_NEWNS) < 0)
		return 2;
	seconds = atof(argv[1]);
	protected = argv[2];
	writable = argv[3];
	target = argv[4];
	fds[0] = fds[1] = -1;
	race("bind", flip_text, race_bind, writable, "/proc");
	race("open_tree", flip_text, race_open_tree, writable, "/proc");
	race("fsopen", flip_text, race_fsopen, "tmpfs", "proc");
	race("fsmount", flip_fd, race_fsmount, "", "");
	race("mount_setattr", flip_struct, race_setattr, writable, protected);
	race("umount", flip_text, race_umount, target, "/proc/uptime");
	mount("proc", target, "proc", 0, NULL);
	fds[0] = (int)syscall(FSPICK, AT_FDCWD, protected, 1);
	fds[1] = (int)syscall(FSPICK, AT_FDCWD, target, 1);
	race("reconfigure", flip_fd, race_reconfigure, "", "");
	return 0;
}
