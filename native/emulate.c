/* Calls done on behalf of a caller: look, build detached, ask whether the notification stands, act, answer, undo if nobody heard it.
 * Each runs in a child with the caller's ids, root, cwd, namespaces and effective capabilities, so the authority is the kernel's answer
 * to the caller, not to us, and nothing can come out of it that the caller could not have done without a filter, but one thing: a procfs
 * or sysfs that is a locked tree. That one cannot hurt the host: it shows the caller's own pid or network namespace, under the nodes.
 */
#include <ctype.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "mounter.h"

enum { MOUNTS_MAX = 4096, REWALKS = 4 };

struct action {
	struct caller *caller;
	enum operation op;
	enum tree_kind kind;
	const char *target, *options;
	uint64_t flags;
	int built;		/* a tree waits in the stage, or why there is none */
	int attached;		/* the tree, once it is where the caller wanted it */
	bool not_tree;
};

static uint64_t flag_attributes(uint64_t flags)
{
	static const uint64_t table[][2] = { { MS_NOSUID, MOUNT_ATTR_NOSUID }, { MS_NODEV, MOUNT_ATTR_NODEV }, { MS_NOEXEC, MOUNT_ATTR_NOEXEC },
					     { 256 /* MS_NOSYMFOLLOW */, MOUNT_ATTR_NOSYMFOLLOW } };
	uint64_t set = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (flags & table[i][0])
			set |= table[i][1];
	return set;
}

/* As path_mount() has them: relatime unless asked otherwise; strictatime undoes both. */
static uint64_t atime_attributes(uint64_t flags)
{
	uint64_t set = flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;

	if (flags & MS_STRICTATIME)
		return set | MOUNT_ATTR_STRICTATIME;
	return set | (flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : MOUNT_ATTR_RELATIME);
}

/* ---- mount of a new procfs or sysfs ---- */

/* What the caller asked for it may undo later, unlike what the stage has locked. Read-only goes down to the nodes. */
static int set_callers_flags(int tree, uint64_t flags)
{
	uint64_t set = flag_attributes(flags);
	int ret = set ? eci_attributes(tree, set, 0, 0) : 0;

	return ret == 0 && flags & MS_RDONLY ? eci_attributes(tree, MOUNT_ATTR_RDONLY, 0, AT_RECURSIVE) : ret;
}

/* The kernel's order after the path: may this caller mount at all; its options; may it show that pid or network namespace. */
static int authority(const struct action *action)
{
	const struct namespaces *ns = &action->caller->ns;

	if (action->built < 0) {
		cleanup_fd int asked = fsopen("tmpfs", FSOPEN_CLOEXEC);

		return asked < 0 ? -errno : action->built;
	}
	/* setns(2) asks for CAP_SYS_ADMIN in the namespace's owner, as the mount does; for a pid namespace nothing else happens to us. */
	if (action->kind == TREE_PROC)
		return setns(ns->pid, CLONE_NEWPID) < 0 ? -errno : 0;
	return setns(ns->net, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int attach_tree(struct action *action, int tree, int target)
{
	struct place at, ours;
	int ret = eci_place(target, &at);

	if (ret < 0)
		return ret;
	ret = authority(action);
	if (ret < 0)
		return ret;
	if (!at.directory)
		return -ENOTDIR;
	/* move_mount(2) does not ask: the same superblock twice on one place, which sysfs always is. */
	if (at.mount_root && eci_place(tree, &ours) == 0 && ours.dev == at.dev)
		return -EBUSY;
	ret = eci_id_valid(action->caller);
	if (ret < 0)
		return ret;
	return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

static int mount_tree(void *opaque)
{
	struct action *action = opaque;
	cleanup_fd int tree = -1, target = -1;
	int ret = eci_take_ids(action->caller);

	if (ret == 0 && action->built == 0) {
		tree = eci_clone_locked();
		ret = tree < 0 ? tree : set_callers_flags(tree, action->flags);
	} else if (ret == 0) {
		ret = setns(eci.container.user, CLONE_NEWUSER) < 0 ? -errno : 0;
	}
	if (ret == 0)
		ret = eci_enter(action->caller);
	if (ret < 0)
		return ret;
	target = eci_walk(action->caller, action->target, true);
	if (target < 0)
		return target;
	ret = attach_tree(action, tree, target);
	if (ret == 0)
		action->attached = steal_fd(&tree);
	return ret;
}

static int build(struct action *action)
{
	struct caller *caller = action->caller;
	cleanup_fd int context = -1;

	if (!(caller->caps & (1ULL << 21 /* CAP_SYS_ADMIN */)))
		return -EPERM;	/* not worth the work: the kernel will say so after the path */
	context = eci_superblock(action->kind, &caller->ns, *action->options ? caller : NULL, action->options);
	return context < 0 ? context : eci_stage_tree(action->kind, context, atime_attributes(action->flags));
}

/* ---- remounts, and the nodes below ---- */

struct mounted {
	uint64_t id, parent, dev;
	bool read_only;
	size_t path;		/* of its mount point in the text */
};

struct table {
	struct mounted mounts[MOUNTS_MAX];
	size_t count, used;
	char text[1 << 20];
};

static struct table table;

/* The caller's mount table as its root shows it; only opened here, on our own procfs, never resolved. */
static int read_table(const struct caller *caller)
{
	cleanup_fd int fd = openat(caller->proc, "mountinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	table.count = table.used = 0;
	while (table.used < sizeof(table.text) - 1 && (n = read(fd, table.text + table.used, sizeof(table.text) - 1 - table.used)) > 0)
		table.used += (size_t)n;
	table.text[table.used] = 0;
	for (char *line = table.text, *next; *line && table.count < MOUNTS_MAX; line = next) {
		unsigned long id, parent;
		unsigned int major, minor;
		int path = 0, options = 0;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (sscanf(line, "%lu %lu %u:%u %*s %n%*s %n", &id, &parent, &major, &minor, &path, &options) < 4 || !options)
			continue;
		line[options - 1] = 0;
		table.mounts[table.count++] = (struct mounted){ id, parent, makedev(major, minor), !strncmp(line + options, "ro", 2),
								(size_t)(line + path - table.text) };
	}
	return 0;
}

static const struct mounted *mounted(uint64_t id)
{
	for (size_t i = 0; i < table.count; i++)
		if (table.mounts[i].id == id)
			return &table.mounts[i];
	return NULL;
}

/* The path from one mount point to another below it, unescaped; -1 if it is not below. */
static int path_between(const struct mounted *top, const struct mounted *low, char to[PATH_MAX])
{
	const char *from = table.text + top->path, *path = table.text + low->path;
	size_t prefix = strcmp(from, "/") ? strlen(from) : 0, n = 0;

	if (strncmp(from, path, prefix) || path[prefix] != '/')
		return -1;
	for (path += prefix + 1; *path && n < PATH_MAX - 1; n++) {
		if (*path == '\\' && isdigit(path[1]) && isdigit(path[2]) && isdigit(path[3])) {
			to[n] = (char)((path[1] - '0') << 6 | (path[2] - '0') << 3 | (path[3] - '0'));
			path += 4;
		} else {
			to[n] = *path++;
		}
	}
	to[n] = 0;
	return 0;
}

/* Read-only of the files bound on the mount `tree` itself: nodes, masks and files over themselves. One by one, because a recursive
 * clear fails as a whole on one that the spec has locked; known by what is mounted there, never by its path alone. */
static void set_nodes(int tree, const struct mounted *top, bool read_only)
{
	for (size_t i = 0; i < table.count; i++) {
		const struct mounted *low = &table.mounts[i];
		struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
		char path[PATH_MAX];
		cleanup_fd int fd = -1;
		struct place place;

		if (low->parent != top->id || (low->dev != eci.nodes_dev && low->dev != top->dev) || path_between(top, low, path) < 0)
			continue;
		fd = (int)syscall(SYS_openat2, tree, path, &how, sizeof(how));
		if (fd < 0 || eci_place(fd, &place) < 0 || place.mount_id != low->id || !place.mount_root || !place.regular)
			continue;
		eci_attributes(fd, read_only ? MOUNT_ATTR_RDONLY : 0, read_only ? 0 : MOUNT_ATTR_RDONLY, 0);
	}
}

/* After a remount of `tree`: nodes below a read-only mount become read-only, and writable again only if this call turned it so. With
 * `superblock` every mount of it is concerned, and only those that can be reached from `tree` are put right: nodes of its other
 * mounts are written through a read-only superblock's directory no less than before. */
static void reconcile(const struct action *action, int tree, bool was_read_only)
{
	struct place place;
	struct statvfs fs;
	const struct mounted *top;

	if (eci_place(tree, &place) < 0 || fstatvfs(tree, &fs) < 0 || read_table(action->caller) < 0)
		return;
	top = mounted(place.mount_id);
	if (!top)
		return;
	if (fs.f_flag & ST_RDONLY)
		set_nodes(tree, top, true);
	else if (was_read_only)
		set_nodes(tree, top, false);
}

static int remount(struct action *action, int target, int magic)
{
	bool superblock = action->op == OP_REMOUNT_SUPERBLOCK;
	struct statvfs before;
	int ret;

	if (superblock && magic != PROC_SUPER_MAGIC) {
		action->not_tree = true;	/* sysfs is the host's: the kernel says EPERM */
		return 0;
	}
	if (fstatvfs(target, &before) < 0)
		return -errno;
	ret = eci_id_valid(action->caller);
	if (ret < 0)
		return ret;
	if (fchdir(target) < 0 || mount(NULL, ".", NULL, (unsigned long)action->flags, superblock ? action->options : NULL) < 0)
		return -errno;
	reconcile(action, target, before.f_flag & ST_RDONLY);
	return 0;
}

/* ---- umount of a tree ---- */

static bool is_first(const struct place *place)
{
	for (int kind = 0; kind < TREES; kind++)
		if (eci.first[kind].dev == place->dev && eci.first[kind].mount_id == place->mount_id)
			return true;
	return false;
}

/* A mount below the tree that is neither a node, nor a mask, nor a part of it over itself. */
static bool has_foreign_mounts(const struct place *tree)
{
	bool grown = true;
	static bool below[MOUNTS_MAX];

	memset(below, 0, sizeof(below));
	while (grown) {
		grown = false;
		for (size_t i = 0; i < table.count; i++) {
			const struct mounted *m = &table.mounts[i];
			const struct mounted *parent = below[i] ? NULL : mounted(m->parent);

			if (!parent || (m->parent != tree->mount_id && !below[parent - table.mounts]))
				continue;
			if (m->dev != tree->dev && m->dev != eci.nodes_dev && m->dev != eci.masks_dev)
				return true;
			below[i] = grown = true;
		}
	}
	return false;
}

static int umount_tree(struct action *action, int target, const struct place *place)
{
	int flags = (int)action->flags;
	int ret;

	if (is_first(place) || flags & MNT_EXPIRE)
		return -EBUSY;
	ret = read_table(action->caller);
	if (ret == 0 && has_foreign_mounts(place))
		ret = -EBUSY;
	if (ret == 0)
		ret = eci_id_valid(action->caller);
	if (ret < 0)
		return ret;
	/* Lazily: its locked children would make it busy for ever. */
	return fchdir(target) < 0 || umount2(".", flags | MNT_DETACH) < 0 ? -errno : 0;
}

/* In a child: the three calls whose object exists already. */
static int act_on_tree(void *opaque)
{
	struct action *action = opaque;
	bool follow = action->op != OP_UMOUNT_TREE || !(action->flags & UMOUNT_NOFOLLOW);
	cleanup_fd int target = -1;
	struct place place;
	int ret = eci_take_ids(action->caller), magic;

	if (ret == 0 && setns(eci.container.user, CLONE_NEWUSER) < 0)
		ret = -errno;
	if (ret == 0)
		ret = eci_enter(action->caller);
	if (ret < 0)
		return ret;
	target = eci_walk(action->caller, action->target, follow);
	if (target < 0)
		return target;
	ret = eci_place(target, &place);
	if (ret < 0)
		return ret;
	magic = eci_tree_at(target, &place);
	if (!magic) {
		action->not_tree = true;
		return 0;
	}
	return action->op == OP_UMOUNT_TREE ? umount_tree(action, target, &place) : remount(action, target, magic);
}

/* ---- the answer ---- */

static int undo(void *opaque)
{
	const struct action *action = opaque;

	if (setns(action->caller->ns.mnt, CLONE_NEWNS) < 0 || fchdir(action->attached) < 0 || umount2(".", MNT_DETACH) < 0)
		return -errno;
	return 0;
}

static void answer(struct action *action, int error, struct reply *reply)
{
	struct seccomp_notif_resp response = { .id = action->caller->id, .error = error };

	reply->error = error;
	if (ioctl(action->caller->notify, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0 || errno != ENOENT)
		return;
	reply->flags |= REPLY_UNDONE;
	if (action->attached >= 0)
		eci_in_child(undo, action);
}

/* Runs the child; a path that leads to a descriptor of the caller's own makes it come back for that, at most a few times. */
static int run(struct action *action, int (*child)(void *))
{
	struct caller *caller = action->caller;
	int ret = -ELOOP;

	for (int i = 0; i < REWALKS; i++) {
		char path[64];

		ret = eci_in_child(child, action);
		if (ret != -WANT_OWN_FD)
			return ret;
		eci_close(&caller->own_fd);
		snprintf(path, sizeof(path), "%d/fd/%d", caller->own_thread ? caller->tid : caller->tgid, caller->own_nr);
		caller->own_fd = openat(eci.proc, path, O_PATH | O_CLOEXEC);
		if (caller->own_fd < 0)
			return -ENOENT;
	}
	return -ELOOP;
}

void eci_emulate(const struct request *request, int notify, enum operation op, const char *target, const char *options,
		 struct reply *reply)
{
	static struct caller caller;
	struct action action = { .caller = &caller, .op = op, .kind = request->tree, .target = target, .options = options,
				 .flags = request->flags, .attached = -1 };
	int ret;

	caller = (struct caller){ .notify = notify, .id = request->id, .tid = (pid_t)request->pid, .proc = -1, .root = -1, .cwd = -1,
				  .ns = { -1, -1, -1, -1, -1, -1 }, .own_nr = -1, .own_fd = -1 };
	ret = eci_look(&caller, op == OP_MOUNT_TREE && action.kind == TREE_SYSFS);
	if (ret == 0) {
		reply->uid = caller.uid[1];
		reply->pid = (uint32_t)caller.tgid;
		if (op == OP_MOUNT_TREE)
			action.built = build(&action);
		ret = run(&action, op == OP_MOUNT_TREE ? mount_tree : act_on_tree);
	}
	if (ret == 0 && action.not_tree)
		reply->flags |= REPLY_NOT_TREE;
	else
		answer(&action, ret, reply);
	eci_close(&action.attached);
	if (op == OP_MOUNT_TREE)
		eci_clear_stage();
	eci_forget(&caller);
}
