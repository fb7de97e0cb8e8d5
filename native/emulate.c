/* Calls done on behalf of a caller: look, build detached, ask whether the notification stands, act, answer, undo if nobody heard it.
 * Each runs in a child with the caller's ids, root, cwd, namespaces and effective capabilities, so the authority is the kernel's answer
 * to the caller, not to us, and nothing can come out of it that the caller could not have done without a filter, but one thing: a procfs
 * or sysfs that is a locked tree. That one cannot hurt the host: it shows the caller's own pid or network namespace, under the nodes.
 */
#include <linux/capability.h>
#include <stdio.h>

#include "mounter.h"

enum { REWALKS = 6 };

/* ---- mount of a new procfs or sysfs ---- */

/* As path_mount() has them: relatime unless asked otherwise; strictatime undoes both. */
static uint64_t atime_attributes(uint64_t flags)
{
	uint64_t set = flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;

	return set | (flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME : flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : MOUNT_ATTR_RELATIME);
}

/* What the caller asked for it may undo later, unlike what the stage has locked. Read-only goes down to the nodes. */
int eci_set_flags(int tree, uint64_t attributes)
{
	uint64_t set = attributes & ~(uint64_t)MOUNT_ATTR_RDONLY;
	int ret = set ? eci_attributes(tree, "", set, 0, 0) : 0;

	return ret == 0 && attributes & MOUNT_ATTR_RDONLY ? eci_attributes(tree, "", MOUNT_ATTR_RDONLY, 0, AT_RECURSIVE) : ret;
}

/* MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC have the numbers of their MOUNT_ATTR_*. */
static uint64_t callers_attributes(uint64_t flags)
{
	return (flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)) | (flags & 256 /* MS_NOSYMFOLLOW */ ? MOUNT_ATTR_NOSYMFOLLOW : 0);
}

/* The kernel's order after the path: may this caller mount at all; its options; may it show that pid or network namespace. */
static int authority(const struct action *action)
{
	const int *ns = action->caller->ns;
	cleanup_fd int asked = -1;

	if (action->tree < 0)
		return (asked = fsopen("tmpfs", FSOPEN_CLOEXEC)) < 0 ? -errno : action->tree;
	/* setns(2) asks for CAP_SYS_ADMIN in the namespace's owner, as the mount does; for a pid namespace nothing else happens to us. */
	return result(action->request->tree == TREE_PROC ? setns(ns[NS_PID], CLONE_NEWPID) : setns(ns[NS_NET], CLONE_NEWNET));
}

static int mount_tree(void *opaque)
{
	struct action *action = opaque;
	cleanup_fd int target = -1;
	struct place at, ours;
	int ret = eci_become(action->caller);

	if (ret == 0)
		ret = target = eci_walk(action->caller, action->strings[0][0], true);
	if (ret >= 0 && action->request->set && eci_mount_id(target) == action->request->set)
		return 0;	/* the same call before was answered by SEND, and came again all the same (lane.c) */
	if (ret >= 0 && (ret = eci_place(target, &at)) >= 0)
		ret = authority(action);
	if (ret >= 0 && !at.directory)
		ret = -ENOTDIR;
	/* move_mount(2) does not ask: the same superblock twice on one place, which sysfs always is. */
	if (ret >= 0 && at.mount_root && eci_place(action->tree, &ours) == 0 && ours.dev == at.dev)
		ret = -EBUSY;
	if (ret >= 0 && (ret = eci_set_flags(action->tree, callers_attributes(action->request->flags))) >= 0)
		ret = eci_ask(action->caller, -1);
	if (ret >= 0)
		ret = result(move_mount(action->tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
	action->attached = ret == 0;
	return ret;
}

/* ---- the answer ---- */

static int undo(void *opaque)
{
	const struct action *action = opaque;

	return setns(action->caller->ns[NS_MNT], CLONE_NEWNS) < 0 ? -errno : eci_take_off(action->tree);
}

/* By SEND, or by ADDFD where the answer is a descriptor. */
static void answer(struct action *action, int error, struct reply *reply)
{
	if (error == 0 && action->out >= 0)
		error = eci_give(action);
	reply->error = error;
	reply->mount_id = action->attached ? eci_mount_id(action->tree) : action->request->set;
	if (action->given || eci_answer(action->caller->notify, action->caller->id, -error) != -ENOENT)
		return;
	reply->flags |= REPLY_UNDONE;
	if (action->attached && eci_in_child(undo, action, false) == 0)
		reply->mount_id = 0;
}

/* A new mount of a file system that a rule has judged: of the copies. We stand on our procfs: what is held is there by its number, the target
 * and what the options name, layers of an overlay say. A device of the caller's is HELD itself. */
static int mount_new(void *opaque)
{
	struct action *action = opaque;
	int ret = action->request->fd < 0 ? 0 : eci_take(action);

	if (action->request->fd >= 0 && ret >= 0)
		ret = result(dup3(ret, HELD, O_CLOEXEC));
	if (ret < 0 || (ret = eci_become(action->caller)) < 0 || (ret = eci_ask(action->caller, -1)) < 0)
		return ret == -EBADF ? -EINVAL : ret;
	return fchdir(eci.proc) < 0 ? -errno : result(mount(action->strings[1][0], action->strings[0][0], action->strings[1][1],
									     (unsigned long)action->request->flags, action->strings[0][1]));
}

static int held[RECORDS_MAX] = { -1 };	/* as the mounter has them; first the mount table of the caller's namespace, all of it */

/* What the records lead to, for a rule to look at before anything is done. Cannot hurt the host: descriptors of ours, no more. */
static int resolve(void *opaque)
{
	struct action *action = opaque;
	struct caller *caller = action->caller;
	int ret;

	if (held[0] < 0 && (setns(caller->ns[NS_MNT], CLONE_NEWNS) < 0 || (held[0] = openat(eci.proc, "self/mountinfo", O_CLOEXEC)) < 0))
		return -errno;
	ret = eci_become(caller);
	for (int i = action->resolved + 1; i < (int)action->count && ret >= 0; i = action->resolved + 1) {
		cleanup_fd int at = eci_walk_from(caller, (int)(action->what[i] / OF_CALLER) - 1, action->strings[i][0], action->what[i] & FOLLOW);

		ret = at < 0 ? at : (held[i] = eci_ask(caller, at));
		action->resolved += ret >= 0;
	}
	action->not_tree = ret >= 0;
	return ret;
}

/* The recursive copy of what is held as number `flags`, to be held instead of it: a rule looks again once it is made. Cannot hurt the host:
 * it is made as the caller, and what is not attached nobody sees. */
static int copy(void *opaque)
{
	struct action *action = opaque;
	cleanup_fd int tree = -1;
	int ret = eci_become(action->caller);

	if (ret == 0)
		ret = tree = result(open_tree(HELD + (uint8_t)action->request->flags, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
	if (ret >= 0)
		ret = action->tree = eci_ask(action->caller, tree);
	action->not_tree = ret >= 0;
	return ret;
}

static int (*const CHILDREN[OPERATIONS])(void *) = {
	[OP_MOUNT_TREE] = mount_tree, [OP_REMOUNT_BIND] = eci_act_on_tree, [OP_REMOUNT_SUPERBLOCK] = eci_act_on_tree,
	[OP_UMOUNT_TREE] = eci_act_on_tree, [OP_SET_ATTRIBUTES] = eci_act_on_tree, [OP_BIND] = eci_bind, [OP_OPEN_TREE] = eci_open_tree,
	[OP_RECONFIGURE] = eci_reconfigure, [OP_MOUNT_NEW] = mount_new,
	[OP_RESOLVE] = resolve, [OP_MOVE] = eci_bind, [OP_MAKE_NODE] = eci_bind, [OP_COPY] = copy,
};

/* The file behind a descriptor of the caller's. -EBADF: there is none. */
static int take(int *fd, uint32_t task, int number)
{
	char path[40];

	eci_close(fd);
	snprintf(path, sizeof(path), "%u/fd/%d", task, number);
	return (*fd = openat(eci.proc, path, O_PATH | O_CLOEXEC)) < 0 ? -EBADF : 0;
}

/* Where else the nodes below sys/net may have been mounted from: where the caller's parent is, who has made the namespace it is in most
 * likely, and the container's own. Who looks from there finds a file and nothing else. */
static void take_network(struct caller *caller, unsigned int which)
{
	char path[24];

	snprintf(path, sizeof(path), "%u/ns/net", caller->parent);
	eci_close(&caller->ns[NS_NET]);
	caller->ns[NS_NET] = which == 1 ? openat(eci.proc, path, O_RDONLY | O_CLOEXEC) : fcntl(eci.ns[NS_NET], F_DUPFD_CLOEXEC, 0);
}

/* Runs the child; a path that leads to a descriptor of the caller's own, say, makes it come back for that, at most a few times. */
static int run(struct action *action)
{
	struct caller *caller = action->caller;

	for (int i = 0; i < REWALKS; i++) {
		int ret = eci_in_child(CHILDREN[action->op], action, false);

		if (ret == -WANT_NETWORK) {
			take_network(caller, ++action->networks);
			continue;
		}
		if (ret != -WANT_OWN_FD && ret != -WANT_START)
			return ret;
		if (take(&caller->own_fd, caller->own_thread ? caller->tid : caller->tgid_in[0], caller->own_nr) < 0)
			return ret == -WANT_START ? -EBADF : -ENOENT;
	}
	return -ELOOP;
}

static int emulate(struct action *action)
{
	const struct request *request = action->request;

	if (action->op == OP_FSOPEN || action->op == OP_FSMOUNT)
		return action->op == OP_FSOPEN ? eci_fsopen(action) : eci_fsmount(action);
	/* Without the capability a tree is not worth the work: the kernel will say so after the path. */
	if (action->op == OP_MOUNT_TREE)
		action->tree = action->caller->caps & 1ULL << CAP_SYS_ADMIN ? eci_tree(request->tree, action->caller, action->strings + 1,
										       (int)action->count - 1, atime_attributes(request->flags)) : -EPERM;
	return run(action);
}

static int let_go(void *out)
{
	eci_close(out);
	return 0;
}

void eci_emulate(const struct request *request, int *notify, const uint32_t *what, strings_t strings, struct reply *reply)
{
	static struct caller caller;
	enum operation op = what[0];
	struct action action = { .caller = &caller, .request = request, .op = op, .strings = strings, .what = what, .count = request->count, .tree = -1,
				 .out = -1, .context = -1 };
	int looked, ret;

	caller = (struct caller){ .notify = *notify, .id = request->id, .tid = request->pid, .proc = -1, .root = -1, .cwd = -1,
				  .ns = { -1, -1, -1, -1, -1, -1, -1 }, .own_fd = -1, .held = request->held };
	looked = ret = eci_look(&caller, 1U << NS_USER | 1U << NS_MNT | 1U << NS_PID | 1U << NS_NET |
					 (op == OP_MOUNT_NEW || op == OP_FSOPEN ? 1U << NS_IPC | 1U << NS_CGROUP : 0));
	reply->uid = caller.uid[1];
	reply->pid = caller.tgid_in[0];
	if (ret == 0)
		ret = request->held > 1 ? 1 - (int)request->held : emulate(&action);
	reply->error = looked;
	if (looked == -EACCES || (ret >= 0 && action.not_tree))	/* of another label nothing is done, not even answered */
		reply->flags |= REPLY_NOT_TREE;
	else
		answer(&action, ret < 0 ? ret : 0, reply);
	if (op != OP_COPY || !action.not_tree || dup3(action.tree, HELD + (uint8_t)request->flags, O_CLOEXEC) < 0)
		close_range(HELD, HELD_LAST, 0);
	for (int i = 0; i <= action.resolved; eci_close(&held[i++]))
		if (action.not_tree)
			dup3(held[i], HELD + i, O_CLOEXEC);
	/* The listener goes at once: who holds one when a supervisor dies turns ENOSYS into a hang. */
	eci_close(notify);
	/* To close a file may take as long as a FUSE server of the container's likes. So a child does; if it hangs, it keeps our table. */
	if (op == OP_OPEN_TREE && action.out >= 0 && eci_in_child(let_go, &action.out, false) < 0 && unshare(CLONE_FILES) < 0)
		_exit(1);
	if (op != OP_OPEN_TREE)
		eci_close(&action.out);
	eci_close(&action.tree);
	eci_close(&action.context);
	eci_forget(&caller);
}
