/* Calls on a tree that is there already: remounts in their three forms, umount. In a child that becomes the caller.
 *
 * A tree is known by its superblock and by being the root of a mount. What is none, and whatever fails before that is known, is handed
 * back: the kernel goes on with the call, its locks hold for whichever mount the caller's memory names by then, and its errno is its own.
 */
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "mounter.h"

enum { REMOUNTS = 1 << OP_REMOUNT_BIND | 1 << OP_SET_ATTRIBUTES };
enum { MAX_SEEN = 256, CMD_RECONFIGURE = 7 /* linux/mount.h */ };

/* Mounts of a tree that the call in hand may turn read-only or back, as they were before. One call at a time. */
static struct { int fd; bool read_only; } seen[MAX_SEEN];
static unsigned int seen_count;

/* TREES for what is neither procfs nor sysfs. */
enum tree_kind eci_kind(int mount)
{
	long magic = eci_fs_magic(mount);

	return magic == PROC_SUPER_MAGIC ? TREE_PROC : magic == SYSFS_MAGIC ? TREE_SYSFS : TREES;
}

static bool is_node(uint64_t dev)
{
	return dev == eci.nodes_dev || dev == eci.tunables_dev;
}

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
	return is_node(place.dev) || place.dev == top->dev ? steal_fd(&node) : -1;
}

/* Nodes of a read-only mount become read-only, and writable again only if this call turned it so. One by one, because a recursive clear
 * fails as a whole on one that the spec has locked. The mount may show a part of its file system, /proc/sys say: so every tail of a
 * planned path is tried. */
void eci_reconcile(int tree, bool was_read_only)
{
	enum tree_kind kind = eci_kind(tree);
	const struct plan *plan = &eci.plans[kind];
	struct statvfs fs;
	struct place top;
	bool read_only = fstatvfs(tree, &fs) == 0 && fs.f_flag & ST_RDONLY;
	uint64_t set = read_only ? MOUNT_ATTR_RDONLY : 0;

	if (!(read_only | was_read_only) || kind == TREES || eci_place(tree, &top) < 0)
		return;
	for (unsigned int i = 0; i < plan->count; i++)
		for (const char *path = plan->entries[i].path; path; path = strchr(path, '/') ? strchr(path, '/') + 1 : NULL) {
			cleanup_fd int node = node_at(tree, &top, path);

			/* Of a detached tree only the whole can be changed. */
			if (node >= 0 && eci_attributes(node, "", set, MOUNT_ATTR_RDONLY ^ set, 0) == -EINVAL)
				eci_attributes(tree, "", set, MOUNT_ATTR_RDONLY ^ set, AT_RECURSIVE);
		}
}

/* Takes `mount` over, to reconcile it after the call. */
static void see(int mount)
{
	struct statvfs fs;

	if (eci_kind(mount) == TREES || seen_count == MAX_SEEN || fstatvfs(mount, &fs) < 0)
		return eci_close(&mount);
	seen[seen_count].fd = mount;
	seen[seen_count++].read_only = fs.f_flag & ST_RDONLY;
}

/* The other mounts of the caller's namespace that a superblock may show at: where its mount table says. What they have become since is
 * of no concern, they are asked again what they are. */
static void see_others(const struct action *action)
{
	seen_count = 0;
	for (size_t i = 1; i < action->count; i++)
		see(eci_open_below(AT_FDCWD, action->strings[i][0], O_PATH, RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS));
}

static int reconcile_seen(int ret)
{
	for (; seen_count; eci_close(&seen[--seen_count].fd))
		eci_reconcile(seen[seen_count - 1].fd, seen[seen_count - 1].read_only);
	return ret;
}

static int remount(struct action *action, int target)
{
	const struct request *request = action->request;
	struct mount_attr attr = { .attr_set = request->set, .attr_clr = request->clear, .propagation = request->propagation };
	char link[40];
	int ret;

	snprintf(link, sizeof(link), "self/fd/%d", target);	/* a node is no directory to stand on */
	see_others(action);
	see(fcntl(target, F_DUPFD_CLOEXEC, 0));
	ret = eci_ask(action->caller, -1);
	if (ret == 0 && action->op == OP_SET_ATTRIBUTES)
		ret = result(mount_setattr(target, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	else if (ret == 0)
		ret = fchdir(eci.proc) < 0 ? -errno : result(mount(NULL, link, NULL, (unsigned long)request->flags,
								    action->op == OP_REMOUNT_SUPERBLOCK ? action->strings[0][1] : NULL));
	return reconcile_seen(ret);
}

/* fsconfig(2) of an existing superblock: of whom it may be, the kernel asks us as the caller. */
int eci_reconfigure(void *opaque)
{
	struct action *action = opaque;
	int context = eci_take(action), ret = context < 0 ? context : eci_become(action->caller);

	if (ret < 0)
		return ret;
	see_others(action);
	ret = eci_ask(action->caller, -1);
	return reconcile_seen(ret < 0 ? ret : result(fsconfig(context, CMD_RECONFIGURE, NULL, NULL, 0)));
}

/* ---- umount of a tree ---- */

/* -EBUSY if a mount of somebody else's lies below the tree: no node, no mask, no part of it over itself. Or if there are too many. One that
 * comes after this look goes with the tree: as by MNT_DETACH, which the caller may use as well. */
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
		if (inside && (count == 4 * MAX_ENTRIES || (makedev(major, minor) != tree->dev && !is_node(makedev(major, minor)) &&
							    makedev(major, minor) != eci.masks_dev)))
			ret = -EBUSY;
		else if (inside)
			below[count++] = id;
	}
	return !table || fclose(table) < 0 ? -EBUSY : ret;
}

static int umount_tree(struct action *action, int target, const struct place *place)
{
	int flags = (int)action->request->flags, ret;

	for (int kind = 0; kind < TREES; kind++)
		if (flags & MNT_EXPIRE || (eci.first[kind].dev == place->dev && eci.first[kind].mount_id == place->mount_id))
			return -EBUSY;
	ret = no_foreign_mounts(action->caller, place);
	if (ret == 0)
		ret = eci_ask(action->caller, -1);
	/* Lazily: its locked children would make it busy for ever. */
	return ret < 0 ? ret : fchdir(target) < 0 ? -errno : result(umount2(".", flags | MNT_DETACH));
}

int eci_act_on_tree(void *opaque)
{
	struct action *action = opaque;
	cleanup_fd int target = -1;
	enum tree_kind kind = TREES;
	struct place place;
	uint64_t nofollow = action->op == OP_UMOUNT_TREE ? UMOUNT_NOFOLLOW : action->op == OP_SET_ATTRIBUTES ? AT_SYMLINK_NOFOLLOW : 0;
	int top, ret = eci_become(action->caller);

	if (ret == 0)
		ret = target = eci_walk_from(action->caller, action->op == OP_SET_ATTRIBUTES ? action->request->fd : -1, action->strings[0][0],
						!(action->request->flags & nofollow));
	if (ret >= 0 && action->op == OP_UMOUNT_TREE && fchdir(target) == 0 && (top = eci_top(0)) >= 0) {
		close(target);
		target = top;
	}
	if (ret >= 0)
		ret = eci_place(target, &place);
	if (ret >= 0 && place.mount_root && place.directory)
		kind = eci_kind(target);
	/* Below sys/net of a procfs a name is another file in each network namespace. The mount table of one that is new shows a node at a
	 * path which does not lead to it there; bwrap wants to remount what it shows. So the walk is tried from where the node came from. */
	if (ret >= 0 && REMOUNTS & 1U << action->op && !place.mount_root && place.regular && action->networks < OTHER_NETWORKS &&
	    eci_kind(target) == TREE_PROC)
		ret = -WANT_NETWORK;
	if (ret <= -WANT_OWN_FD || ret == -EIO)
		return ret;
	action->not_tree = ret < 0 || (kind == TREES && !(action->networks && place.mount_root && is_node(place.dev))) ||
			   (kind == TREE_SYSFS && action->op == OP_REMOUNT_SUPERBLOCK);
	if (action->not_tree)
		return 0;
	return action->op == OP_UMOUNT_TREE ? umount_tree(action, target, &place) : remount(action, target);
}
