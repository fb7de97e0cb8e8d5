/* What is done once for a container, at the runtime's hook: its init is blocked, in its namespaces, its root still the host's tree. */
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>

#include "mounter.h"

enum { SAFE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

/* What a child is given; `what` and `strings` are the request's. */
struct job {
	const uint32_t *what;
	strings_t strings;
	size_t count;
	int trees[TREES];
	struct reply *reply;
};

static int blame(struct job *job, int error, const char *what)
{
	snprintf(job->reply->what, sizeof(job->reply->what), "%s", what);
	return error;
}

int eci_become_container_root(void)
{
	return syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 ? -errno : result(syscall(SYS_setresuid, 0, 0, 0));
}

static int attach(int tree, int root, const char *path, uint64_t resolve)
{
	cleanup_fd int at = eci_open_below(root, path, O_PATH, resolve);

	return at < 0 ? at : result(move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

/* ROOTFS/sys: a tmpfs that the runtime made as the place for its cgroup mounts goes, and these come back on our sysfs. */
static int attach_sys(int sysfs, int rootfs)
{
	cleanup_fd int cgroup = -1, under = eci_open_below(rootfs, "sys", O_PATH | O_DIRECTORY, SAFE);
	struct place place;
	int ret;

	if (under < 0 || eci_place(under, &place) < 0)
		return under < 0 ? under : -errno;
	if (place.mount_root && eci_fs_magic(under) == TMPFS_MAGIC) {
		cgroup = open_tree(under, "fs/cgroup", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
		if ((cgroup < 0 && errno != ENOENT) || fchdir(under) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
			return -errno;
	}
	ret = attach(sysfs, rootfs, "sys", SAFE);
	return ret < 0 || cgroup < 0 ? ret : attach(cgroup, rootfs, "sys/fs/cgroup", SAFE);
}

/* Makes what is missing of `path` below the container's root, as container root: runtimes do the same for their mounts. */
static int make_mount_point(int rootfs, const char *path, bool directory)
{
	char above[PATH_MAX] = ".";

	for (size_t length; *path; path += length) {
		char *name = above + strlen(above);
		cleanup_fd int parent = eci_open_below(rootfs, above, O_PATH | O_DIRECTORY, IN_ROOT), file = -1;
		int made = 0;

		length = 1 + strcspn(path + 1, "/");
		if (parent < 0 || name + length >= above + sizeof(above))
			return parent < 0 ? parent : -ENAMETOOLONG;
		strncat(name, path, length);
		if (length > 1)
			made = path[length] || directory ? mkdirat(parent, name + 1, 0755)
							 : (file = openat(parent, name + 1, O_CREAT | O_EXCL | O_CLOEXEC, 0644));
		if (made < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* One key, as a path. Host and domain name are host root's by file; the calls ask for the owner of the namespace. */
static int write_sysctl(int sys, const char *key, const char *value)
{
	cleanup_fd int fd = -1;

	if (!strcmp(key, "kernel/hostname"))
		return result(sethostname(value, strlen(value)));
	if (!strcmp(key, "kernel/domainname"))
		return result(setdomainname(value, strlen(value)));
	fd = eci_open_below(sys, key, O_WRONLY, SAFE | RESOLVE_NO_XDEV);
	return fd < 0 ? fd : write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* The destination is the image's, and is resolved below its root; a mount point that is made now is container root's own. */
static int attach_late(int source, int rootfs, const char *destination)
{
	cleanup_fd int bind = source;
	struct place place;
	int ret = attach(bind, rootfs, destination, IN_ROOT);

	if (ret == -ENOENT && (ret = eci_place(bind, &place)) >= 0 && (ret = make_mount_point(rootfs, destination, place.directory)) >= 0)
		ret = attach(bind, rootfs, destination, IN_ROOT);
	return ret;
}

/* In a child: in init's namespaces, before it pivots. Nothing here follows a link of the image out of the rootfs. The staged binds are cloned
 * as init's mount namespace has them: locked copies, so their ro, nosuid and nodev hold. Their paths and that of the rootfs are the host's
 * and of our own making, opened while we are host root; /proc/sys shows the namespaces of who looks, so ours will do. */
static int attach_all(void *opaque)
{
	static int sources[RECORDS_MAX];
	struct job *job = opaque;
	cleanup_fd int rootfs = -1, sys = openat(eci.proc, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (sys < 0 || setns(eci.ns[NS_NET], CLONE_NEWNET) < 0 || setns(eci.ns[NS_IPC], CLONE_NEWIPC) < 0 ||
	    setns(eci.ns[NS_UTS], CLONE_NEWUTS) < 0 || setns(eci.ns[NS_USER], CLONE_NEWUSER) < 0 ||
	    setns(eci.ns[NS_MNT], CLONE_NEWNS) < 0 || fchdir(eci.init_root) < 0 || chroot(".") < 0)
		return blame(job, -errno, "the namespaces of init");
	rootfs = eci_open_below(AT_FDCWD, job->strings[0][0], O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
	if (rootfs < 0)
		return blame(job, rootfs, "rootfs");
	for (size_t i = 1; i < job->count && ret >= 0; i++)
		if (job->what[i] == LATE_BIND)
			ret = sources[i] = result(open_tree(AT_FDCWD, job->strings[i][0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
	if (ret < 0 || (ret = eci_become_container_root()) < 0)
		return blame(job, ret, "as container root");
	for (size_t i = 1; i < job->count; i++)
		if (job->what[i] == LATE_SYSCTL && (ret = write_sysctl(sys, job->strings[i][0], job->strings[i][1])) < 0)
			return blame(job, ret, job->strings[i][0]);
	if ((ret = attach(job->trees[TREE_PROC], rootfs, "proc", SAFE)) < 0)
		return blame(job, ret, "/proc");
	if ((ret = attach_sys(job->trees[TREE_SYSFS], rootfs)) < 0)
		return blame(job, ret, "/sys");
	for (size_t i = 1; i < job->count; i++)
		if (job->what[i] == LATE_BIND && (ret = attach_late(sources[i], rootfs, job->strings[i][1])) < 0)
			return blame(job, ret, job->strings[i][1]);
	return 0;
}

/* Sysctls, the two first trees, late binds. Cannot hurt the host: init's namespaces belong to the container's user namespace, of which the
 * child becomes root, so the kernel lets it touch nothing else. */
int eci_attach_first(const uint32_t *what, strings_t strings, size_t count, struct reply *reply)
{
	struct job job = { .what = what, .strings = strings, .count = count, .trees = { -1, -1 }, .reply = reply };
	int ret = 0;

	for (enum tree_kind kind = 0; kind < TREES && ret == 0; kind++) {
		ret = job.trees[kind] = eci_tree(kind, NULL, NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		if (ret >= 0)
			ret = eci_place(job.trees[kind], &eci.first[kind]);
		if (ret < 0)
			return blame(&job, ret, kind == TREE_PROC ? "building the tree of /proc" : "building the tree of /sys");
	}
	ret = eci_in_child(attach_all, &job, false);
	for (int kind = 0; kind < TREES; kind++)
		eci_close(&job.trees[kind]);
	return ret;
}

/* 0 if the mount of a fresh superblock is refused for what it would reveal; that and nothing else, so all before fsmount must succeed. */
static int refused(void *opaque)
{
	const int *context = opaque;
	cleanup_fd int mount = -1;

	if (setns(eci.ns[NS_USER], CLONE_NEWUSER) < 0 || setns(eci.ns[NS_MNT], CLONE_NEWNS) < 0)
		return -errno;
	mount = fsmount(*context, FSMOUNT_CLOEXEC, 0);
	return mount >= 0 ? -ENOTUNIQ : errno == EPERM ? 0 : -errno;
}

/* Rules out that a fresh procfs or sysfs can be mounted in the container: -ENOTUNIQ names the one that can. Cannot hurt the host: nothing is
 * attached. */
int eci_prove(struct reply *reply)
{
	int ret = 0;

	for (enum tree_kind kind = 0; kind < TREES && ret == 0; kind++) {
		cleanup_fd int context = eci_context(kind, eci.ns, NULL, NULL, 0);

		snprintf(reply->what, sizeof(reply->what), "%s", kind == TREE_PROC ? "proc" : "sysfs");
		ret = context < 0 ? context : eci_in_child(refused, &context, false);
	}
	return ret;
}
