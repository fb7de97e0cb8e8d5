/* What is done once for a container, at the runtime's hook: its init is blocked, in its namespaces, its root still the host's tree. */
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "mounter.h"

enum { SAFE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

static int open_below(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

struct first {
	const char *rootfs;
	bool cgroup;
	const char *const (*late)[2];
	size_t late_count;
	int trees[TREES];
	struct reply *reply;
};

static int blame(struct reply *reply, int error, const char *what)
{
	snprintf(reply->what, sizeof(reply->what), "%s", what);
	return error;
}

static int lock(void *opaque)
{
	*(int *)opaque = eci_clone_locked();
	return *(int *)opaque < 0 ? *(int *)opaque : 0;
}

/* A locked tree of the container's own namespaces, in `tree`. */
static int make(enum tree_kind kind, int *tree)
{
	cleanup_fd int context = eci_superblock(kind, &eci.container, NULL, "");
	int ret = context;

	if (ret >= 0)
		ret = eci_stage_tree(kind, context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (ret >= 0)
		ret = eci_in_child(lock, tree);
	eci_clear_stage();
	return ret;
}

static int attach(int tree, int root, const char *path)
{
	cleanup_fd int at = open_below(root, path, O_PATH | O_DIRECTORY, SAFE);

	if (at < 0)
		return at;
	return move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

/* ROOTFS/sys: a tmpfs that the runtime made as the place for its cgroup mounts goes, and these come back on our sysfs. */
static int attach_sys(struct first *first, int rootfs)
{
	cleanup_fd int cgroup = -1, under = open_below(rootfs, "sys", O_PATH | O_DIRECTORY, SAFE);
	struct place place;
	struct statfs fs;
	int ret;

	if (under < 0)
		return under;
	if (eci_place(under, &place) < 0 || fstatfs(under, &fs) < 0)
		return -errno;
	if (place.mount_root && fs.f_type == TMPFS_MAGIC) {
		if (first->cgroup) {
			cgroup = open_tree(under, "fs/cgroup", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
			if (cgroup < 0)
				return -errno;
		}
		if (fchdir(under) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
			return -errno;
	}
	ret = attach(first->trees[TREE_SYSFS], rootfs, "sys");
	return ret < 0 || cgroup < 0 ? ret : attach(cgroup, rootfs, "sys/fs/cgroup");
}

/* Makes what is missing of `path` below the container's root, as container root: runtimes do the same for their mounts. */
static int make_mount_point(int rootfs, const char *path, bool directory)
{
	char prefix[PATH_MAX];
	const char *end = path;

	while (*(end += strspn(end, "/"))) {
		size_t before = (size_t)(end - path), length = strcspn(end, "/");
		bool last = !end[length + strspn(end + length, "/")];
		char name[NAME_MAX + 1];
		cleanup_fd int parent = -1, made = -1;

		if (before >= sizeof(prefix) - 2 || length > NAME_MAX)
			return -ENAMETOOLONG;
		snprintf(prefix, sizeof(prefix), "./%.*s", (int)before, path);
		snprintf(name, sizeof(name), "%.*s", (int)length, end);
		parent = open_below(rootfs, prefix, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		if (parent < 0)
			return parent;
		if (!last || directory) {
			if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
				return -errno;
		} else {
			made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
			if (made < 0 && errno != EEXIST)
				return -errno;
		}
		end += length;
	}
	return 0;
}

/* `source` is a clone of the staged bind as init's namespace has it: a locked copy, so its ro, nosuid and nodev hold. */
static int attach_late(int source, int rootfs, const char *destination)
{
	cleanup_fd int at = -1;
	struct place place;
	int ret = eci_place(source, &place);

	if (ret < 0)
		return ret;
	at = open_below(rootfs, destination, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (at == -ENOENT) {
		ret = make_mount_point(rootfs, destination, place.directory);
		if (ret < 0)
			return ret;
		at = open_below(rootfs, destination, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	}
	if (at < 0)
		return at;
	return move_mount(source, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

static int become_container_root(void)
{
	return syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0 ? -errno : 0;
}

static int attach_late_binds(struct first *first, int rootfs)
{
	int ret = 0;

	for (size_t i = 0; i < first->late_count && ret == 0; i++) {
		/* The staged path is the host's and of our own making; only its end below `rootfs` is the image's. */
		cleanup_fd int source = open_tree(AT_FDCWD, first->late[i][0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
						  AT_SYMLINK_NOFOLLOW);

		ret = source < 0 ? -errno : 0;
		if (ret == 0 && i == 0)
			ret = become_container_root();	/* what is made from here on belongs to it */
		if (ret == 0)
			ret = attach_late(source, rootfs, first->late[i][1]);
		if (ret < 0)
			blame(first->reply, ret, first->late[i][1]);
	}
	return ret;
}

/* In a child: in init's mount namespace, before it pivots. Nothing here follows a link of the image out of the rootfs. */
static int attach_all(void *opaque)
{
	struct first *first = opaque;
	cleanup_fd int rootfs = -1;
	int ret;

	if (setns(eci.container.user, CLONE_NEWUSER) < 0 || setns(eci.container.mnt, CLONE_NEWNS) < 0 || fchdir(eci.init_root) < 0 ||
	    chroot(".") < 0)
		return blame(first->reply, -errno, "the namespaces of init");
	rootfs = open_below(AT_FDCWD, first->rootfs, O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
	if (rootfs < 0)
		return blame(first->reply, rootfs, "rootfs");
	ret = attach(first->trees[TREE_PROC], rootfs, "proc");
	if (ret < 0)
		return blame(first->reply, ret, "/proc");
	ret = attach_sys(first, rootfs);
	if (ret < 0)
		return blame(first->reply, ret, "/sys");
	return attach_late_binds(first, rootfs);
}

/* The two first trees and the late binds, into init's mount namespace. Cannot hurt the host: that namespace belongs to the container's
 * user namespace and the child has joined it, so the kernel lets it touch nothing else. */
int eci_attach_first(const char *rootfs, bool cgroup, const char *const (*late)[2], size_t count, struct reply *reply)
{
	struct first first = { .rootfs = rootfs, .cgroup = cgroup, .late = late, .late_count = count, .trees = { -1, -1 }, .reply = reply };
	int ret = make(TREE_PROC, &first.trees[TREE_PROC]);

	if (ret < 0)
		blame(reply, ret, "building the tree of /proc");
	if (ret >= 0) {
		ret = make(TREE_SYSFS, &first.trees[TREE_SYSFS]);
		if (ret < 0)
			blame(reply, ret, "building the tree of /sys");
	}
	if (ret >= 0)
		ret = eci_in_child(attach_all, &first);
	for (int kind = 0; kind < TREES; kind++) {
		struct place place = { 0 };

		if (first.trees[kind] >= 0 && eci_place(first.trees[kind], &place) == 0) {
			eci.first[kind].mount_id = place.mount_id;
			eci.first[kind].dev = place.dev;
		}
		eci_close(&first.trees[kind]);
	}
	return ret;
}

struct sysctls {
	const char *const (*values)[2];
	size_t count;
	struct reply *reply;
};

/* One key, as path. Host name and domain name are root's of the host by file; the calls ask for the owner of the namespace. */
static int write_sysctl(int sys, const char *key, const char *value)
{
	cleanup_fd int fd = -1;
	size_t length = strlen(value);

	if (!strcmp(key, "kernel/hostname"))
		return sethostname(value, length) < 0 ? -errno : 0;
	if (!strcmp(key, "kernel/domainname"))
		return setdomainname(value, length) < 0 ? -errno : 0;
	fd = open_below(sys, key, O_WRONLY, SAFE | RESOLVE_NO_XDEV);
	if (fd < 0)
		return fd;
	return write(fd, value, length) < 0 ? -errno : 0;
}

static int write_all(void *opaque)
{
	struct sysctls *sysctls = opaque;
	cleanup_fd int sys = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ret;

	/* /proc/sys shows the namespaces of who looks, so ours will do. */
	if (sys < 0 || setns(eci.container.net, CLONE_NEWNET) < 0 || setns(eci.container.ipc, CLONE_NEWIPC) < 0 ||
	    setns(eci.container.uts, CLONE_NEWUTS) < 0 || setns(eci.container.user, CLONE_NEWUSER) < 0)
		return -errno;
	ret = become_container_root();
	for (size_t i = 0; i < sysctls->count && ret == 0; i++) {
		ret = write_sysctl(sys, sysctls->values[i][0], sysctls->values[i][1]);
		if (ret < 0)
			blame(sysctls->reply, ret, sysctls->values[i][0]);
	}
	return ret;
}

/* Cannot hurt the host: the child is container root in the container's user namespace, and the kernel decides what that may write. */
int eci_write_sysctls(const char *const (*values)[2], size_t count, struct reply *reply)
{
	struct sysctls sysctls = { .values = values, .count = count, .reply = reply };

	return eci_in_child(write_all, &sysctls);
}

struct proof {
	enum tree_kind kind;
	struct reply *reply;
};

/* 0 if a fresh mount is refused for what it would reveal; that and nothing else, so all before fsmount must succeed. */
static int refused(void *opaque)
{
	struct proof *proof = opaque;
	const char *name = proof->kind == TREE_PROC ? "proc" : "sysfs";
	cleanup_fd int context = -1, mount = -1;

	if (setns(eci.container.user, CLONE_NEWUSER) < 0 || setns(eci.container.mnt, CLONE_NEWNS) < 0 ||
	    setns(eci.container.net, CLONE_NEWNET) < 0)
		return blame(proof->reply, -errno, "joining the container");
	context = fsopen(name, FSOPEN_CLOEXEC);
	if (context < 0 || (proof->kind == TREE_PROC && eci.has_pidns && fsconfig(context, 5, "pidns", NULL, eci.container.pid) < 0) ||
	    fsconfig(context, 6, NULL, NULL, 0) < 0)
		return blame(proof->reply, -errno, "making a superblock in the container");
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (mount >= 0)
		return blame(proof->reply, -ENOTUNIQ, name);
	return errno == EPERM ? 0 : blame(proof->reply, -errno, name);
}

/* Rules out that a fresh procfs or sysfs can be mounted in the container: -ENOTUNIQ names the one that can. */
int eci_prove(struct reply *reply)
{
	int ret = 0;

	for (int kind = 0; kind < TREES && ret == 0; kind++) {
		struct proof proof = { .kind = (enum tree_kind)kind, .reply = reply };
		bool born_inside = kind == TREE_PROC && !eci.has_pidns;

		if (born_inside && setns(eci.container.pid, CLONE_NEWPID) < 0)
			return -errno;
		ret = eci_in_child(refused, &proof);
		if (born_inside && setns(eci.home_pid, CLONE_NEWPID) < 0)
			_exit(1);
	}
	return ret;
}
