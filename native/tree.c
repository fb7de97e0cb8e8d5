/* Making a locked tree: a superblock, built in the stage, copied into the container's user namespace, taken out as a detached clone. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "mounter.h"

/* linux/mount.h; glibc has the calls, but not all of the constants */
#define FSCONFIG_FLAG 0
#define FSCONFIG_STRING 1
#define FSCONFIG_FD 5
#define FSCONFIG_CREATE 6

static const char *const names[TREES] = { [TREE_PROC] = "proc", [TREE_SYSFS] = "sysfs" };

/* An option of the caller. The list is closed: pidns= takes a path, which would be ours and not the caller's; LSM options would be set
 * with our authority. EINVAL is what the kernel says to a key it does not know. */
static int set_option(int context, enum tree_kind kind, const char *key, const char *value)
{
	static const char *const common[] = { "ro", "rw", "sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "silent" };

	if (kind == TREE_PROC && (!strcmp(key, "hidepid") || !strcmp(key, "gid") || !strcmp(key, "subset"))) {
		int ret = value ? fsconfig(context, FSCONFIG_STRING, key, value, 0) : fsconfig(context, FSCONFIG_FLAG, key, NULL, 0);

		return ret < 0 ? -errno : 0;
	}
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (!value && !strcmp(key, common[i]))
			return 0;	/* the superblock is ours to keep rw; ro is a flag of the mount here */
	return -EINVAL;
}

/* Split at commas, empty parts skipped, as generic_parse_monolithic() does. */
static int set_options(int context, enum tree_kind kind, const char *options)
{
	char copy[4096], *rest = copy, *part;

	if (strlen(options) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, options);
	while ((part = strsep(&rest, ","))) {
		char *value = strchr(part, '=');
		int ret;

		if (!*part)
			continue;
		if (value == part)
			continue;
		if (value)
			*value++ = 0;
		ret = set_option(context, kind, part, value);
		if (ret < 0)
			return ret;
	}
	return 0;
}

struct create {
	enum tree_kind kind;
	const struct namespaces *ns;
	const struct caller *as;
	const char *options;
	int context;
};

/* A configured superblock, not mounted yet: a context for fsmount(2). procfs of a pid namespace, sysfs of the network namespace we are in. */
static int create(void *opaque)
{
	struct create *c = opaque;
	cleanup_fd int context = -1;
	int ret = 0;

	if (c->as) {
		ret = eci_take_ids(c->as);
		if (ret < 0)
			return ret;
		if (setns(eci.container.user, CLONE_NEWUSER) < 0)
			return -errno;
		ret = eci_enter(c->as);
		if (ret < 0)
			return ret;
		if (c->kind == TREE_SYSFS && setns(c->ns->net, CLONE_NEWNET) < 0)
			return -errno;
	}
	context = fsopen(names[c->kind], FSOPEN_CLOEXEC);
	if (context < 0)
		return -errno;
	if (c->kind == TREE_PROC && eci.has_pidns && fsconfig(context, FSCONFIG_FD, "pidns", NULL, c->ns->pid) < 0)
		return -errno;
	fsconfig(context, FSCONFIG_STRING, "source", names[c->kind], 0);
	ret = set_options(context, c->kind, c->options);
	if (ret < 0)
		return ret;
	if (fsconfig(context, FSCONFIG_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	c->context = steal_fd(&context);
	return 0;
}

/* A context for fsmount(2). With options (gid= is translated by who creates the superblock) or on behalf of a caller that asks for any,
 * a child does it `as` the caller; without, we do, and the caller's authority is asked for when its target is opened.
 * Cannot hurt the host: a superblock that nobody has mounted shows nothing. Errors: the kernel's own. */
int eci_superblock(enum tree_kind kind, const struct namespaces *ns, const struct caller *as, const char *options)
{
	struct create c = { .kind = kind, .ns = ns, .as = as, .options = options, .context = -1 };
	bool by_child = as != NULL;
	int ret = 0;

	/* Without pidns= the superblock shows the pid namespace of the task that makes it, so a child is born into it. It is visible there,
	 * but without `as` it stays out of reach: its credentials are the host's. With `as` it may be stopped, hence the deadline. */
	if (kind == TREE_PROC && !eci.has_pidns) {
		by_child = true;
		if (setns(ns->pid, CLONE_NEWPID) < 0)
			return -errno;
	}
	if (kind == TREE_SYSFS && !as && setns(ns->net, CLONE_NEWNET) < 0)
		return -errno;
	ret = by_child ? eci_in_child(create, &c) : create(&c);
	if (kind == TREE_PROC && !eci.has_pidns && setns(eci.home_pid, CLONE_NEWPID) < 0)
		_exit(1);	/* we would show the wrong processes from now on */
	if (kind == TREE_SYSFS && !as && setns(eci.home_net, CLONE_NEWNET) < 0)
		_exit(1);
	return ret < 0 ? ret : c.context;
}

int eci_attributes(int mount, uint64_t set, uint64_t clear, unsigned int at_flags)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };

	return mount_setattr(mount, "", AT_EMPTY_PATH | at_flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int attach(int mount, int tree, const char *path)
{
	return move_mount(mount, "", tree, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* What goes over a path, cloned at home: a node, or an empty file or directory. -1: nothing is cloned there. */
static int clone_cover(const struct entry *entry)
{
	switch (entry->cover) {
	case COVER_NODE:
		return open_tree(entry->node, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	case COVER_MASK:
		return open_tree(AT_FDCWD, entry->is_dir ? "/directory" : "/file", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	case COVER_READONLY:
	case COVER_SELF:
		break;
	}
	return -1;
}

/* A mask whose path is of the other type than last time: the stage has the same two files. */
static int mask_other_type(struct entry *entry, int tree)
{
	cleanup_fd int mask = -1;

	entry->is_dir = !entry->is_dir;
	mask = open_tree(AT_FDCWD, entry->is_dir ? "/directory" : "/file", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return mask < 0 ? -errno : attach(mask, tree, entry->path);
}

/* 1 if the path is covered now, 0 if it is not there. */
static int cover(struct entry *entry, int tree, int clone)
{
	cleanup_fd int self = -1;
	int ret;

	if (entry->cover == COVER_READONLY || entry->cover == COVER_SELF)
		clone = self = open_tree(tree, entry->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	if (clone < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = attach(clone, tree, entry->path);
	if (entry->cover == COVER_MASK && (ret == -ENOTDIR || ret == -EINVAL))
		ret = mask_other_type(entry, tree);
	if (ret == -ENOENT || ret == -ENOTDIR)
		return 0;	/* this kernel, or this namespace, has no such file */
	return ret < 0 ? ret : 1;
}

static int cover_all(struct plan *plan, int tree, const int *clones)
{
	struct entry pid_one = { .path = "1/pagemap", .cover = COVER_SELF };
	int covered = 0, ret;

	for (unsigned int i = 0; i < plan->count; i++) {
		ret = cover(&plan->entries[i], tree, clones[i]);
		if (ret < 0)
			return ret;
		covered += ret;
	}
	/* subset=pid leaves no node to cover. One file of its pid 1 keeps the tree from counting as fully visible. */
	if (!covered) {
		ret = cover(&pid_one, tree, -1);
		if (ret <= 0)
			return ret < 0 ? ret : -EPERM;
	}
	for (unsigned int i = 0; i < plan->count; i++) {
		struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

		/* Recursive, and after all is attached: a node below a read-only path is read-only too. */
		if (plan->entries[i].cover == COVER_READONLY &&
		    mount_setattr(tree, plan->entries[i].path, AT_RECURSIVE | AT_SYMLINK_NOFOLLOW, &read_only, sizeof(read_only)) < 0 &&
		    errno != ENOENT)
			return -errno;
	}
	return plan->read_only ? eci_attributes(tree, MOUNT_ATTR_RDONLY, 0, AT_RECURSIVE) : 0;
}

/* Builds the tree of `context` at /tree of the stage, and leaves us in the stage: the next child inherits it. `attributes` will be
 * locked, so they are the spec's, and the atime flags, which no later call could change. Cannot hurt the host: everything happens in
 * mount namespaces of our own. */
int eci_stage_tree(enum tree_kind kind, int context, uint64_t attributes)
{
	static int clones[MAX_ENTRIES];
	struct plan *plan = &eci.plans[kind];
	cleanup_fd int tree = fsmount(context, FSMOUNT_CLOEXEC, (unsigned int)attributes);
	int ret = tree < 0 ? -errno : 0;

	for (unsigned int i = 0; i < plan->count; i++)
		clones[i] = clone_cover(&plan->entries[i]);
	if (ret == 0 && setns(eci.stage, CLONE_NEWNS) < 0)
		ret = -errno;
	if (ret == 0)
		ret = attach(tree, AT_FDCWD, "/tree");
	if (ret == 0)
		ret = cover_all(plan, tree, clones);
	for (unsigned int i = 0; i < plan->count; i++)
		eci_close(&clones[i]);
	return ret;
}

/* In a child, in the stage: the copy into the container's user namespace locks every mount but the root. The tree, detached.
 * Container root may get hold of the copy (mounter.h): it holds the locked tree and nothing else. */
int eci_clone_locked(void)
{
	int tree;

	if (setns(eci.container.user, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
		return -errno;
	tree = open_tree(AT_FDCWD, "/tree", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return tree < 0 ? -errno : tree;
}

/* Back home, the stage empty for the next tree. Harmless when there is none. */
void eci_clear_stage(void)
{
	if (setns(eci.stage, CLONE_NEWNS) < 0)
		_exit(1);
	umount2("/tree", MNT_DETACH);
	if (setns(eci.home, CLONE_NEWNS) < 0)
		_exit(1);
}
