/* Calls done on behalf of a caller: look, build detached, ask whether the notification stands, act, answer, undo if nobody heard it.
 * Each runs in a child with the caller's ids, root, cwd, namespaces and effective capabilities, so the authority is the kernel's answer
 * to the caller, not to us, and nothing can come out of it that the caller could not have done without a filter, but one thing: a procfs
 * or sysfs that is a locked tree. That one cannot hurt the host: it shows the caller's own pid or network namespace, under the nodes.
 */
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "mounter.h"

enum { REWALKS = 4 };

struct action {
	struct caller *caller;
	enum operation op;
	enum tree_kind kind;
	const char *target, *options;
	uint64_t flags;
	int tree;		/* detached, or why there is none */
	bool attached, not_tree;
};

/* ---- mount of a new procfs or sysfs ---- */

/* As path_mount() has them: relatime unless asked otherwise; strictatime undoes both. */
static uint64_t atime_attributes(uint64_t flags)
{
	uint64_t set = flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;

	return set | (flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME : flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : MOUNT_ATTR_RELATIME);
}

/* What the caller asked for it may undo later, unlike what the stage has locked. Read-only goes down to the nodes. */
static int set_callers_flags(int tree, uint64_t flags)
{
	uint64_t set = (flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0) | (flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0) |
		       (flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0) | (flags & 256 /* MS_NOSYMFOLLOW */ ? MOUNT_ATTR_NOSYMFOLLOW : 0);
	int ret = set ? eci_attributes(tree, "", set, 0, 0) : 0;

	return ret == 0 && flags & MS_RDONLY ? eci_attributes(tree, "", MOUNT_ATTR_RDONLY, 0, AT_RECURSIVE) : ret;
}

/* The kernel's order after the path: may this caller mount at all; its options; may it show that pid or network namespace. */
static int authority(const struct action *action)
{
	const int *ns = action->caller->ns;
	cleanup_fd int asked = -1;

	if (action->tree < 0 && (asked = fsopen("tmpfs", FSOPEN_CLOEXEC)) < 0)
		return -errno;
	if (action->tree < 0)
		return action->tree;
	/* setns(2) asks for CAP_SYS_ADMIN in the namespace's owner, as the mount does; for a pid namespace nothing else happens to us. */
	return result(action->kind == TREE_PROC ? setns(ns[NS_PID], CLONE_NEWPID) : setns(ns[NS_NET], CLONE_NEWNET));
}

static int mount_tree(void *opaque)
{
	struct action *action = opaque;
	cleanup_fd int target = -1;
	struct place at, ours;
	int ret = eci_become(action->caller);

	if (ret == 0)
		ret = target = eci_walk(action->caller, action->target, true);
	if (ret >= 0)
		ret = eci_place(target, &at);
	if (ret >= 0)
		ret = authority(action);
	if (ret >= 0 && !at.directory)
		ret = -ENOTDIR;
	/* move_mount(2) does not ask: the same superblock twice on one place, which sysfs always is. */
	if (ret >= 0 && at.mount_root && eci_place(action->tree, &ours) == 0 && ours.dev == at.dev)
		ret = -EBUSY;
	if (ret >= 0)
		ret = set_callers_flags(action->tree, action->flags);
	if (ret >= 0)
		ret = eci_id_valid(action->caller);
	if (ret >= 0)
		ret = result(move_mount(action->tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
	action->attached = ret == 0;
	return ret;
}

/* ---- remounts, and the nodes below ---- */

/* The file that covers `path` of a tree, if it does so on the mount `top` itself: a node, or a file over itself. Known by what is mounted
 * there. Below another mount it is none of this call's business, hence NO_XDEV up to its directory. */
static int node_at(int tree, const struct place *top, const char *path)
{
	char directory[sizeof(eci.plans[0].entries[0].path)] = ".";
	const char *slash = strrchr(path, '/');
	cleanup_fd int parent = -1, node = -1;
	struct place place;

	if (slash)
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
	parent = eci_open_below(tree, directory, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	node = parent < 0 ? -1 : openat(parent, slash ? slash + 1 : path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (node < 0 || eci_place(node, &place) < 0 || !place.mount_root || !place.regular)
		return -1;
	return place.dev == eci.nodes_dev || place.dev == top->dev ? steal_fd(&node) : -1;
}

/* After a remount: nodes of a read-only mount become read-only, and writable again only if this call turned it so. One by one, because
 * a recursive clear fails as a whole on one that the spec has locked. The mount may show a part of its file system, /proc/sys say: so
 * every tail of a planned path is tried. */
static void reconcile(int tree, enum tree_kind kind, bool was_read_only)
{
	const struct plan *plan = &eci.plans[kind];
	struct statvfs fs;
	struct place top;
	bool read_only;

	if (fstatvfs(tree, &fs) < 0 || eci_place(tree, &top) < 0)
		return;
	read_only = fs.f_flag & ST_RDONLY;
	for (unsigned int i = 0; i < plan->count && read_only | was_read_only; i++)
		for (const char *path = plan->entries[i].path; path; path = strchr(path, '/') ? strchr(path, '/') + 1 : NULL) {
			cleanup_fd int node = node_at(tree, &top, path);

			if (node >= 0)
				eci_attributes(node, "", read_only ? MOUNT_ATTR_RDONLY : 0, read_only ? 0 : MOUNT_ATTR_RDONLY, 0);
		}
}

static int remount(struct action *action, int target, enum tree_kind kind)
{
	bool superblock = action->op == OP_REMOUNT_SUPERBLOCK;
	struct statvfs before;
	int ret;

	if (fstatvfs(target, &before) < 0)
		return -errno;
	ret = eci_id_valid(action->caller);
	if (ret < 0)
		return ret;
	if (fchdir(target) < 0 || mount(NULL, ".", NULL, (unsigned long)action->flags, superblock ? action->options : NULL) < 0)
		return -errno;
	reconcile(target, kind, before.f_flag & ST_RDONLY);
	return 0;
}

/* ---- umount of a tree ---- */

/* -EBUSY if a mount of somebody else's lies below the tree: no node, no mask, no part of it over itself. Or if there are too many. */
static int no_foreign_mounts(const struct caller *caller, const struct place *tree)
{
	int fd = openat(caller->proc, "mountinfo", O_RDONLY | O_CLOEXEC), ret = 0;
	FILE *table = fd < 0 ? NULL : fdopen(fd, "re");
	static char line[3 * PATH_MAX];
	unsigned long below[4 * MAX_ENTRIES] = { tree->mount_id }, id, parent;
	unsigned int major, minor, count = 1;

	while (table && ret == 0 && fgets(line, sizeof(line), table)) {
		bool inside = false;

		if (sscanf(line, "%lu %lu %u:%u ", &id, &parent, &major, &minor) != 4)
			continue;
		for (unsigned int i = 0; i < count; i++)
			inside |= below[i] == parent;
		if (inside && (count == 4 * MAX_ENTRIES || (makedev(major, minor) != tree->dev && makedev(major, minor) != eci.nodes_dev &&
							    makedev(major, minor) != eci.masks_dev)))
			ret = -EBUSY;
		else if (inside)
			below[count++] = id;
	}
	return !table || fclose(table) < 0 ? -EBUSY : ret;
}

static int umount_tree(struct action *action, int target, const struct place *place)
{
	int flags = (int)action->flags, ret;

	for (int kind = 0; kind < TREES; kind++)
		if (eci.first[kind].dev == place->dev && eci.first[kind].mount_id == place->mount_id)
			return -EBUSY;
	ret = flags & MNT_EXPIRE ? -EBUSY : no_foreign_mounts(action->caller, place);
	if (ret == 0)
		ret = eci_id_valid(action->caller);
	/* Lazily: its locked children would make it busy for ever. */
	return ret < 0 ? ret : fchdir(target) < 0 ? -errno : result(umount2(".", flags | MNT_DETACH));
}

/* In a child: the three calls whose object exists already. A tree is known by its superblock and by being the root of a mount. */
static int act_on_tree(void *opaque)
{
	struct action *action = opaque;
	bool follow = action->op != OP_UMOUNT_TREE || !(action->flags & UMOUNT_NOFOLLOW);
	cleanup_fd int target = -1;
	struct place place;
	struct statfs fs;
	int ret = eci_become(action->caller);

	if (ret == 0)
		ret = target = eci_walk(action->caller, action->target, follow);
	if (ret >= 0)
		ret = eci_place(target, &place);
	if (ret < 0)
		return ret;
	action->not_tree = !place.mount_root || !place.directory || fstatfs(target, &fs) < 0 ||
			   (fs.f_type != PROC_SUPER_MAGIC && (fs.f_type != SYSFS_MAGIC || action->op == OP_REMOUNT_SUPERBLOCK));
	if (action->not_tree)
		return 0;
	if (action->op == OP_UMOUNT_TREE)
		return umount_tree(action, target, &place);
	return remount(action, target, fs.f_type == PROC_SUPER_MAGIC ? TREE_PROC : TREE_SYSFS);
}

/* ---- the answer ---- */

static int undo(void *opaque)
{
	const struct action *action = opaque;

	return setns(action->caller->ns[NS_MNT], CLONE_NEWNS) < 0 || fchdir(action->tree) < 0 ? -errno : result(umount2(".", MNT_DETACH));
}

static void answer(struct action *action, int error, struct reply *reply)
{
	struct seccomp_notif_resp response = { .id = action->caller->id, .error = error };

	reply->error = error;
	if (ioctl(action->caller->notify, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0 || errno != ENOENT)
		return;
	reply->flags |= REPLY_UNDONE;
	if (action->attached)
		eci_in_child(undo, action, false);
}

/* Runs the child; a path that leads to a descriptor of the caller's own makes it come back for that, at most a few times. */
static int run(struct action *action)
{
	struct caller *caller = action->caller;

	for (int i = 0; i < REWALKS; i++) {
		int ret = eci_in_child(action->op == OP_MOUNT_TREE ? mount_tree : act_on_tree, action, false);
		char path[40];

		if (ret != -WANT_OWN_FD)
			return ret;
		eci_close(&caller->own_fd);
		snprintf(path, sizeof(path), "%u/fd/%d", caller->own_thread ? caller->tid : caller->tgid_in[0], caller->own_nr);
		caller->own_fd = openat(eci.proc, path, O_PATH | O_CLOEXEC);
		if (caller->own_fd < 0)
			return -ENOENT;
	}
	return -ELOOP;
}

void eci_emulate(const struct request *request, int notify, enum operation op, const char *target, const char *options, struct reply *reply)
{
	static struct caller caller;
	struct action action = { .caller = &caller, .op = op, .kind = request->tree, .target = target, .options = options,
				 .flags = request->flags, .tree = -1 };
	int ret;

	caller = (struct caller){ .notify = notify, .id = request->id, .tid = request->pid, .proc = -1, .root = -1, .cwd = -1,
				  .ns = { -1, -1, -1, -1, -1, -1 }, .own_fd = -1 };
	ret = eci_look(&caller, 1U << NS_USER | 1U << NS_MNT | 1U << NS_PID | 1U << NS_NET);
	reply->uid = caller.uid[1];
	reply->pid = caller.tgid_in[0];
	if (ret == 0 && op == OP_MOUNT_TREE)	/* without the capability it is not worth the work: the kernel will say so after the path */
		action.tree = caller.caps & 1ULL << CAP_SYS_ADMIN ? eci_tree(action.kind, &caller, options, atime_attributes(request->flags))
								  : -EPERM;
	if (ret == 0)
		ret = run(&action);
	if (ret == 0 && action.not_tree)
		reply->flags |= REPLY_NOT_TREE;
	else
		answer(&action, ret, reply);
	eci_close(&action.tree);
	eci_forget(&caller);
}
