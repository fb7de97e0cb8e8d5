/* Making a locked tree: a superblock, built in the stage, copied into the container's user namespace, taken out as a detached clone. */
#include <string.h>

#include "mounter.h"

static const char *const names[TREES] = { [TREE_PROC] = "proc", [TREE_SYSFS] = "sysfs" };
static const char *const places[BATCH] = { "/tree/0", "/tree/1", "/tree/2", "/tree/3" };
static bool staged;
struct batch {
	int count, net;		/* the network namespace they are looked at from, borrowed */
	int *trees;
};

struct create {
	enum tree_kind kind;
	const int *ns;
	const struct caller *as;
	strings_t options;	/* each with its value behind a "=", if it has one */
	int count;		/* below 0: the context alone, of TREES that of a file system with the first one's name */
	int context;
};

/* A configured superblock, mounted nowhere: procfs of a pid namespace, sysfs of the network namespace. With a count below 0 its context. */
static int create(void *opaque)
{
	struct create *c = opaque;
	cleanup_fd int context = -1;
	int ret = c->as ? eci_become(c->as) : 0;

	if (ret == 0 && c->kind == TREE_SYSFS)
		ret = result(setns(c->ns[NS_NET], CLONE_NEWNET));
	if (ret == 0)
		ret = context = result(fsopen(c->kind == TREES ? c->options[0][0] : names[c->kind], FSOPEN_CLOEXEC));
	if (ret >= 0 && c->kind == TREE_PROC && eci.has_pidns)
		ret = result(fsconfig(context, FSCONFIG_FD, "pidns", NULL, c->ns[NS_PID]));
	if (ret >= 0 && c->count >= 0)
		ret = result(fsconfig(context, FSCONFIG_STRING, "source", names[c->kind], 0));
	/* With a value the list is closed: pidns= takes a path, which would be ours and not the caller's, and LSM options would be set with our
	 * authority. EINVAL is what the kernel says to a key it does not know. */
	for (int i = 0; i < c->count && ret >= 0; i++) {
		const char *key = c->options[i][0], *value = *c->options[i][1] ? c->options[i][1] + 1 : NULL;
		bool open = c->kind == TREE_PROC && (!strcmp(key, "hidepid") || !strcmp(key, "gid") || !strcmp(key, "subset"));

		ret = value && !open ? -EINVAL : result(fsconfig(context, value ? FSCONFIG_STRING : FSCONFIG_FLAG, key, value, 0));
	}
	if (ret >= 0 && c->count >= 0)
		ret = result(fsconfig(context, FSCONFIG_CREATE, NULL, NULL, 0));
	c->context = ret < 0 ? -1 : c->as ? eci_ask(c->as, context) : steal_fd(&context);
	return ret;
}

/* A context for fsmount(2). A child makes it `as` the caller where there are options: gid= is translated by who creates the superblock.
 * Else we do, and the caller's authority is asked for when the tree is attached. Cannot hurt the host: it shows nothing while unmounted. */
int eci_context(enum tree_kind kind, const int *ns, const struct caller *as, strings_t options, int count)
{
	struct create c = { .kind = kind, .ns = ns, .as = as, .options = options, .count = count, .context = -1 };
	/* Without pidns= it shows the pid namespace of the task that makes it, so a child is born into it. It is visible there, but out of
	 * reach without `as`: its credentials are the host's. With `as` it may be stopped: the deadline. */
	bool born_inside = kind == TREE_PROC && !eci.has_pidns;
	int ret;

	if (born_inside && setns(ns[NS_PID], CLONE_NEWPID) < 0)
		return -errno;
	ret = as || born_inside ? eci_in_child(create, &c, born_inside) : create(&c);
	/* Otherwise we would show the wrong processes, the wrong network, from now on. */
	if ((born_inside && setns(eci.home_pid, CLONE_NEWPID) < 0) || (kind == TREE_SYSFS && !as && setns(eci.home_net, CLONE_NEWNET) < 0))
		_exit(1);
	return ret < 0 ? ret : c.context;
}

int eci_attributes(int mount, const char *path, uint64_t set, uint64_t clear, unsigned int at_flags)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };

	return result(mount_setattr(mount, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | at_flags, &attr, sizeof(attr)));
}

static int attach(int mount, int tree, const char *path)
{
	return result(move_mount(mount, "", tree, path, MOVE_MOUNT_F_EMPTY_PATH));
}

/* Puts over the path what belongs there: the clone of its node that was made at home, a mask of the stage's, or the path itself. */
static int put_over(const struct entry *entry, int tree, int node)
{
	const unsigned int how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	cleanup_fd int own = -1;

	if (entry->cover == COVER_MASK)
		node = own = open_tree(AT_FDCWD, entry->is_dir ? "/directory" : "/file", how);
	else if (entry->cover != COVER_NODE)
		node = own = open_tree(tree, entry->path, how | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	return node < 0 ? -errno : attach(node, tree, entry->path);
}

/* 1 if the path is covered now, 0 if this kernel, or this namespace, has no such file. */
static int cover(struct entry *entry, int tree, int node)
{
	int ret = put_over(entry, tree, node);

	if (entry->cover == COVER_MASK && (ret == -ENOTDIR || ret == -EINVAL)) {
		entry->is_dir = !entry->is_dir;	/* the path is of the other type than last time */
		ret = put_over(entry, tree, node);
	}
	return ret == -ENOENT || ret == -ENOTDIR ? 0 : ret < 0 ? ret : 1;
}

static int cover_all(struct plan *plan, int tree, const int *nodes)
{
	/* subset=pid leaves no node to cover. What keeps the tree from counting as fully visible must not go with a process: the mount on
	 * a file of a pid 1 vanishes with that, and then a fresh procfs is allowed. So it is the link `self`, over itself. */
	struct entry self = { .path = "self", .cover = COVER_SELF };
	int covered = 0, ret;

	for (unsigned int i = 0; i < plan->count; i++) {
		ret = cover(&plan->entries[i], tree, nodes[i]);
		if (ret < 0)
			return ret;
		covered += ret;
	}
	if (!covered && (ret = cover(&self, tree, -1)) <= 0)
		return ret < 0 ? ret : -EPERM;
	/* Recursive, and after all is attached: a node below a read-only path is read-only too. */
	for (unsigned int i = 0; i < plan->count; i++)
		if (plan->entries[i].cover == COVER_READONLY) {
			ret = eci_attributes(tree, plan->entries[i].path, MOUNT_ATTR_RDONLY, 0, AT_RECURSIVE);
			if (ret < 0 && ret != -ENOENT)
				return ret;
		}
	return plan->read_only ? eci_attributes(tree, "", MOUNT_ATTR_RDONLY, 0, AT_RECURSIVE) : 0;
}

/* Into the stage. What is built there for one copy lies on one mount, and goes with it. */
static int enter_stage(void)
{
	cleanup_fd int top = -1;
	int ret = result(setns(eci.stage, CLONE_NEWNS));

	if (ret < 0 || staged)
		return ret;
	ret = top = result(open_tree(AT_FDCWD, "/tree", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	if (ret >= 0)
		ret = attach(top, AT_FDCWD, "/tree");
	staged = ret >= 0;
	return ret;
}

/* Builds a tree out of a bare mount at `path` of the stage. Cannot hurt the host: everything happens in mount namespaces of our own. The
 * files below a procfs' sys/net are those of the network namespace that looks, so we look from `net`. */
static int build(enum tree_kind kind, int tree, int net, const char *path)
{
	static int nodes[MAX_ENTRIES];
	struct plan *plan = &eci.plans[kind];
	int ret;

	for (unsigned int i = 0; i < plan->count; i++)
		nodes[i] = open_tree(plan->entries[i].node, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);	/* -1 of no node */
	ret = result(setns(net, CLONE_NEWNET));
	if (ret >= 0)
		ret = enter_stage();
	if (ret >= 0)
		ret = attach(tree, AT_FDCWD, path);
	if (ret >= 0)
		ret = cover_all(plan, tree, nodes);
	for (unsigned int i = 0; i < plan->count; i++)
		eci_close(&nodes[i]);
	if (setns(eci.home, CLONE_NEWNS) < 0 || setns(eci.home_net, CLONE_NEWNET) < 0)
		_exit(1);
	return ret;
}

/* In a child: the copy of the stage into the container's user namespace locks every mount but the root. The trees, detached. Container
 * root may get hold of the copy (mounter.h): it holds the locked trees and nothing else. */
static int clone_locked(void *opaque)
{
	const struct batch *batch = opaque;

	if (setns(batch->net, CLONE_NEWNET) < 0 || setns(eci.stage, CLONE_NEWNS) < 0 || setns(eci.ns[NS_USER], CLONE_NEWUSER) < 0 ||
	    unshare(CLONE_NEWNS) < 0)
		return -errno;
	for (int i = 0; i < batch->count; i++) {
		/* A superblock may be read-only by its options. Its nodes can follow here alone: attached, and too late to be locked so. */
		cleanup_fd int staged_tree = open(places[i], O_PATH | O_CLOEXEC);

		eci_reconcile(staged_tree, false);
		batch->trees[i] = open_tree(AT_FDCWD, places[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (batch->trees[i] < 0)
			return -errno;
	}
	return 0;
}

/* The stage empty for the next tree; late, because the kernel waits for a grace period. */
void eci_clear_stage(void)
{
	if (staged && (setns(eci.stage, CLONE_NEWNS) < 0 || umount2("/tree", MNT_DETACH) < 0 || setns(eci.home, CLONE_NEWNS) < 0))
		_exit(1);
	staged = false;
}

/* As many locked, detached trees as there are contexts, whoever has opened them; what costs most, a child, a copy and a grace period, they
 * share. `attributes` as in eci_tree. The kernel's errno for a context that has no superblock yet, or is mounted already; -EPERM if it is
 * neither procfs nor sysfs; then there are none. */
int eci_trees_of(const int *contexts, int count, uint64_t attributes, int net, int *trees)
{
	struct batch batch = { .count = count, .net = net, .trees = trees };
	int ret = 0;

	eci_clear_stage();
	memset(trees, -1, (size_t)count * sizeof(int));
	for (int i = 0; i < count && ret >= 0; i++) {
		cleanup_fd int mount = result(fsmount(contexts[i], FSMOUNT_CLOEXEC, (unsigned int)attributes));
		enum tree_kind kind = mount < 0 ? TREES : eci_kind(mount);

		ret = mount < 0 ? mount : kind == TREES ? -EPERM : build(kind, mount, net, places[i]);
	}
	if (ret >= 0)
		ret = eci_in_child(clone_locked, &batch, false);
	for (int i = 0; i < count && ret < 0; i++)
		eci_close(&trees[i]);
	return ret;
}

int eci_tree_of(int context, uint64_t attributes, int net)
{
	int tree = -1, ret = eci_trees_of(&context, 1, attributes, net, &tree);

	return ret < 0 ? ret : tree;
}

/* A locked, detached tree: of the container's own namespaces, or of the caller's with its options. `attributes` will be locked, so they
 * are the spec's, and the atime flags, which no later call could change. -errno as the kernel's for options and namespaces. */
int eci_tree(enum tree_kind kind, const struct caller *caller, strings_t options, int count, uint64_t attributes)
{
	const int *ns = caller ? caller->ns : eci.ns;
	cleanup_fd int context = eci_context(kind, ns, count ? caller : NULL, options, count);

	return context < 0 ? context : eci_tree_of(context, attributes, ns[NS_NET]);
}
