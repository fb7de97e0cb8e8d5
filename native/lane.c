/* The usual mounts, done by the serving thread itself: absolute paths, a caller that may do anything in the container's own user namespace.
 * - A new procfs without options. The mounter puts trees, detached and locked, into the lane ahead of time: a socket that all serving threads
 *   of a container take from.
 * - Where an admin has rules for mounts: a bind of a directory and a new tmpfs. The context of a tmpfs comes out of a lane too, because it
 *   belongs to the user namespace of who opens it, and a thread of many cannot join one.
 * - A plain bind without such rules is the kernel's to make, once it is seen that nothing locked lies below its source.
 * Every other mount and every error is left to Python and the mounter, nothing having been done.
 *
 * What is usual, and why its caller gets no more than its own authority, is usual.c's.
 *
 * Once, not twice: a signal voids a notification, and the call comes again. Where SEND says so the tree is taken off again. But a signal
 * that wakes the caller just when SEND takes the filter's lock makes SEND succeed and the call come again all the same (seen in one
 * answer of 200 at 10 kHz, without WAIT_KILLABLE_RECV). So a call that is its thread's last one again, on the tree of that, has been done.
 * The mounter answers by SEND too: a call that was its goes there again, and it is told which mount was made by the one before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mounter.h"

enum { SAME_NS = 1000000000 };

int eci_lane_open(struct eci_lane *lane, const struct eci_mounts *mounts)
{
	static const struct eci_mounts none;

	*lane = (struct eci_lane){ .mounts = mounts ? mounts : &none, .proc = -1, .user = -1, .spares = { { .fd = -1 }, { .fd = -1 } } };
	lane->procfs = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	lane->mnt = openat(lane->procfs, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return lane->mnt < 0 ? -errno : 0;
}

void eci_lane_close(struct eci_lane *lane)
{
	for (int i = 0; i < ECI_SPARES; i++)
		eci_close(&lane->spares[i].fd);
	eci_close(&lane->proc);
	eci_close(&lane->user);
	eci_close(&lane->mnt);
	eci_close(&lane->procfs);
}

/* What nobody waits for: the mounter makes another. */
void eci_lane_rest(struct eci_lane *lane)
{
	for (int i = 0; i < ECI_SPARES; i++)
		if (lane->spares[i].taken && send(lane->mounts->lanes[i], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
			lane->spares[i].taken = false;
}

/* Has spares[kind] filled in, and lane->whose. Where they are taken one after the other the next is being made: the socket has a timeout. */
static bool take(struct eci_lane *lane, enum eci_spare kind)
{
	struct lane_spare *spare = &lane->spares[kind];

	if (spare->fd >= 0)
		return lane->unprivileged;
	eci_lane_rest(lane);
	if (eci_receive(lane->mounts->lanes[kind], &lane->whose, sizeof(lane->whose), &spare->fd) != sizeof(lane->whose) || spare->fd < 0)
		return false;
	spare->taken = true;
	if (!lane->unprivileged) {
		setfsgid(lane->whose.root);
		setfsuid(lane->whose.root);
		/* A root and cwd of our own: else setns(2) into a mount namespace is EINVAL. */
		lane->unprivileged = unshare(CLONE_FS) == 0 && syscall(SYS_setgroups, 0, NULL) == 0;
	}
	return lane->unprivileged;
}

/* A thread that makes another call, or the same a second later, does not repeat the last one; unless that is still in Python's hands. */
void eci_lane_moved_on(struct eci_lane *lane, const struct eci_call *call)
{
	struct made *made = &lane->made[call->tid % REMEMBERED];

	if (made->tid == call->tid && (made->ip != call->ip || memcmp(made->args, call->args, sizeof(call->args)) ||
				       (!call->held && call->received_ns - made->received_ns >= SAME_NS)))
		made->tid = 0;
}

static int clone_of(const struct mounting *m)
{
	return open_tree(m->fds[FROM], "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (m->kind == ECI_BIND_ALL ? AT_RECURSIVE : 0));
}

static int new_tmpfs(struct eci_lane *lane, const struct mounting *m)
{
	cleanup_fd int context = steal_fd(&lane->spares[ECI_SPARE_TMPFS].fd);

	if (m->source && fsconfig(context, FSCONFIG_STRING, "source", m->source, 0) < 0)
		return -1;
	for (const char *option = m->options; option && *option; option += strcspn(option, ","), option += *option == ',') {
		char key[ECI_OPTION], *value;

		snprintf(key, sizeof(key), "%.*s", (int)strcspn(option, ","), option);
		value = strchr(key, '=');
		*value = 0;
		if (fsconfig(context, FSCONFIG_STRING, key, value + 1, 0) < 0)
			return -1;
	}
	return fsconfig(context, FSCONFIG_CREATE, NULL, NULL, 0) < 0 ? -1 : fsmount(context, FSMOUNT_CLOEXEC, 0);
}

/* MOUNT_ATTR_* are the same bits, and what is set here the caller may undo. A bind has its source's. */
static int attach(const struct mounting *m, int tree, uint64_t flags)
{
	struct mount_attr attr = { .attr_set = m->fds[FROM] < 0 ? flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC) : 0 };

	if (attr.attr_set && mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return result(move_mount(tree, "", m->fds[AT], "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

/* In the caller's mount namespace. One that is not ours is left after the answer: nobody waits for that. */
static int mount_and_answer(struct eci_lane *lane, int notify_fd, const struct eci_call *call, const struct mounting *m, uint64_t *made)
{
	cleanup_fd int tree = m->kind == ECI_NEW_PROC ? steal_fd(&lane->spares[ECI_SPARE_PROC].fd)
			    : m->kind == ECI_NEW_TMPFS ? new_tmpfs(lane, m) : clone_of(m);

	if (tree >= 0 && m->kind == ECI_BIND && !lane->mounts->judged)
		return eci_answer(notify_fd, call->id, -1) < 0 ? -ENOENT : GOES_ON;
	if (tree < 0 || eci_id_valid(notify_fd, call->id) < 0)
		return tree < 0 ? LEFT : -ENOENT;
	if (attach(m, tree, call->args[3]) < 0)
		return LEFT;
	if (eci_answer(notify_fd, call->id, 0) < 0) {
		eci_take_off(tree);
		return chdir("/") < 0 ? -errno : -ENOENT;	/* where it has left us would keep the tree */
	}
	*made = eci_mount_id(tree);
	return MADE;
}

static int make(struct eci_lane *lane, int notify_fd, const struct eci_call *call, struct mounting *m, uint64_t *made)
{
	bool bind = m->kind == ECI_BIND || m->kind == ECI_BIND_ALL;
	enum eci_spare spare = m->kind == ECI_NEW_TMPFS ? ECI_SPARE_TMPFS : ECI_SPARE_PROC;
	int ret;

	if (!(call->made || (bind && lane->unprivileged) || take(lane, spare)) || !eci_usual_caller(lane, call->tid, m) || !eci_usual_ends(lane, m))
		return LEFT;
	if (call->made && eci_mount_id(m->fds[AT]) == call->made)
		return eci_answer(notify_fd, call->id, 0) < 0 ? -ENOENT : MADE;
	if ((!bind && !take(lane, spare)) || (m->fds[MNT] >= 0 && setns(m->fds[MNT], CLONE_NEWNS) < 0))
		return LEFT;
	ret = mount_and_answer(lane, notify_fd, call, m, made);
	if (m->fds[MNT] >= 0 && setns(lane->mnt, CLONE_NEWNS) < 0)
		_exit(1);	/* every mount would go there */
	return ret;
}

/* -ENOENT: the caller is gone, and nothing is mounted. LEFT: not a usual call, or one that would fail; it is left for a second each time it
 * comes again, and is told each time what was made before, since Python takes those that wait in any order. After that the signals are too
 * close to each other for Python. */
int eci_lane_mount(struct eci_lane *lane, int notify_fd, struct eci_call *call)
{
	struct made *made = &lane->made[call->tid % REMEMBERED];
	bool repeated = made->tid == call->tid;
	uint64_t left_ns = repeated ? made->left_ns : 0;
	bool left = call->received_ns - left_ns < SAME_NS;
	struct mounting m;
	int ret = LEFT;

	call->made = repeated ? made->mount_id : 0;
	*made = (struct made){ .ip = call->ip, .received_ns = call->received_ns, .mount_id = call->made, .tid = call->tid };
	memcpy(made->args, call->args, sizeof(call->args));
	if (!left && !call->held && eci_usual_call(lane, call, &m)) {
		ret = make(lane, notify_fd, call, &m, &made->mount_id);
		for (int i = 0; i < ENDS; i++)
			eci_close(&m.fds[i]);
	}
	made->left_ns = ret != LEFT ? 0 : left ? left_ns : call->received_ns;
	return ret;
}
