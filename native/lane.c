/* The usual mount of a new procfs, done by the serving thread itself: an absolute path, no options, a caller that may do anything in the
 * container's own user, pid and network namespaces. The mounter puts trees, detached and locked, into the lane ahead of time: a socket that all
 * serving threads of a container take from. Every other mount and every error is left to Python and the mounter, nothing having been done.
 *
 * Why the caller gets no more than its own authority:
 * - The kernel would ask for CAP_SYS_ADMIN in the owner of its mount namespace, and of the pid namespace that is shown. Both are asked
 *   for here to be owned by the container's user namespace, its own, in which it has that capability.
 * - Its path is walked below its root with the ids of container root and without our capabilities over files, which setfsuid(2) takes away.
 *   It has CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: for files of the container's ids it could do more. For other ids it is as we are.
 * - RESOLVE_CACHED: no file system is asked, so none of the container's can keep us waiting.
 *
 * Once, not twice: a signal voids a notification, and the call comes again. Where SEND says so the tree is taken off again. But a signal
 * that wakes the caller just when SEND takes the filter's lock makes SEND succeed and the call come again all the same (seen in one
 * answer of 200 at 10 kHz, without WAIT_KILLABLE_RECV). So a call that is its thread's last one again, on the tree of that, has been done.
 * The mounter answers by SEND too: a call that was its goes there again, and it is told which mount was made by the one before.
 */
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "mounter.h"

enum { NEEDED = 1 << CAP_SYS_ADMIN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH };
enum { ATTRIBUTES = MS_NOSUID | MS_NODEV | MS_NOEXEC, FLAGS = ATTRIBUTES | MS_SILENT | MS_RELATIME };
enum { SAME_NS = 1000000000 };

int eci_lane_open(struct eci_lane *lane, int fd)
{
	*lane = (struct eci_lane){ .fd = fd, .mnt = -1, .tree = -1, .home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC) };
	return lane->home < 0 ? -errno : 0;
}

void eci_lane_close(struct eci_lane *lane)
{
	eci_close(&lane->tree);
	eci_close(&lane->mnt);
	eci_close(&lane->home);
}

/* What nobody waits for: the mounter makes another tree. */
void eci_lane_rest(struct eci_lane *lane)
{
	if (lane->taken && send(lane->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		lane->taken = false;
}

/* The target, if the call is the usual one. */
static const char *usual(const struct eci_call *call)
{
	const char *target = NULL;

	if (eci_mount_flags(call->args[3]) & ~(uint64_t)FLAGS)
		return NULL;
	for (uint32_t i = 0; i < call->text_count; i++) {
		const struct eci_text *text = &call->texts[i];
		const char *bytes = call->bytes[i];

		if (text->error || (text->arg == 2 && memcmp(bytes, "proc", sizeof("proc"))) || (text->arg == 4 && !text->null && text->length))
			return NULL;
		if (text->arg == 1)
			target = !text->null && *bytes == '/' ? bytes : NULL;
	}
	return target;
}

/* Has lane->tree and lane->whose filled in. Where trees are taken one after the other the next is being made: the socket has a timeout. */
static bool take(struct eci_lane *lane)
{
	if (lane->tree >= 0)
		return lane->unprivileged;
	eci_lane_rest(lane);
	if (eci_receive(lane->fd, &lane->whose, sizeof(lane->whose), &lane->tree) != sizeof(lane->whose) || lane->tree < 0)
		return false;
	lane->taken = true;
	if (!lane->unprivileged) {
		setfsgid(lane->whose.root);
		setfsuid(lane->whose.root);
		/* A root and cwd of our own: else setns(2) into a mount namespace is EINVAL. */
		lane->unprivileged = unshare(CLONE_FS) == 0 && syscall(SYS_setgroups, 0, NULL) == 0;
	}
	return lane->unprivileged;
}

/* Whether one of a thread's namespaces is this one. To read the link is the cheapest way to ask. */
static bool same_namespace(int proc, const char *path, uint64_t inode)
{
	char link[32] = "";
	const char *number = readlinkat(proc, path, link, sizeof(link) - 1) > 0 ? strchr(link, '[') : NULL;

	return number && strtoull(number + 1, NULL, 10) == inode;
}

/* The thread's mount namespace, if the container's user namespace owns it. The container's own, which the mounter holds too, is kept. */
static bool enterable(struct eci_lane *lane, int proc, int *mnt)
{
	cleanup_fd int owner = -1;
	struct stat st;

	if (lane->mnt >= 0 && same_namespace(proc, "ns/mnt", lane->whose.ns[NS_MNT]))
		return true;
	*mnt = openat(proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
	if (*mnt < 0 || fstat(*mnt, &st) < 0)
		return false;
	if (st.st_ino == lane->whose.ns[NS_MNT]) {
		eci_close(&lane->mnt);
		lane->mnt = steal_fd(mnt);
		return true;
	}
	owner = ioctl(*mnt, NS_GET_USERNS);
	return owner >= 0 && fstat(owner, &st) == 0 && st.st_ino == lane->whose.ns[NS_USER];
}

/* Whether the thread may do the usual call; its root, and its mount namespace unless that is lane->mnt. */
static bool look(struct eci_lane *lane, uint32_t tid, int *root, int *mnt)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, (int)tid };
	struct __user_cap_data_struct caps[2];
	cleanup_fd int proc = -1;
	struct stat st;
	char path[24];

	snprintf(path, sizeof(path), "/proc/%u", tid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || fstat(proc, &st) < 0 || syscall(SYS_capget, &header, caps) < 0 || (caps[0].effective & NEEDED) != NEEDED ||
	    !same_namespace(proc, "ns/user", lane->whose.ns[NS_USER]) || !same_namespace(proc, "ns/pid", lane->whose.ns[NS_PID]) ||
	    !same_namespace(proc, "ns/net", lane->whose.ns[NS_NET]) || !eci_same_label(proc, lane->whose.label) || !enterable(lane, proc, mnt))
		return false;
	lane->uid = st.st_uid;
	*root = openat(proc, "root", O_PATH | O_CLOEXEC);
	return *root >= 0;
}

/* A thread that makes another call, or the same a second later, does not repeat the last one. */
void eci_lane_moved_on(struct eci_lane *lane, const struct eci_call *call)
{
	struct made *made = &lane->made[call->tid % REMEMBERED];

	if (made->tid == call->tid && (made->ip != call->ip || memcmp(made->args, call->args, sizeof(call->args)) ||
				       call->received_ns - made->received_ns >= SAME_NS))
		made->tid = 0;
}

/* MOUNT_ATTR_* are the same bits, and what is set here the caller may undo. */
static int attach(int tree, int at, uint64_t flags)
{
	struct mount_attr attr = { .attr_set = flags & ATTRIBUTES };

	if (attr.attr_set && mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return result(move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

/* In the caller's mount namespace. It is left after the answer: nobody waits for that. */
static int attach_and_answer(int notify_fd, const struct eci_call *call, int tree, int at)
{
	if (attach(tree, at, call->args[3]) < 0)
		return 0;
	if (eci_answer(notify_fd, call->id, 0) == 0)
		return 1;
	eci_take_off(tree);
	return -ENOENT;
}

/* 1: mounted, and the caller knows. -ENOENT: it is gone, and nothing is mounted. 0: not the usual call, or one that would fail. */
int eci_lane_mount(struct eci_lane *lane, int notify_fd, struct eci_call *call)
{
	struct made *made = &lane->made[call->tid % REMEMBERED];
	bool repeated = made->tid == call->tid;
	const char *target = usual(call);
	cleanup_fd int root = -1, mnt = -1, at = -1, tree = -1;
	int ret;

	call->made = repeated ? made->mount_id : 0;
	if (repeated && !call->made)
		return 0;
	*made = (struct made){ .ip = call->ip, .received_ns = call->received_ns, .tid = call->tid };
	memcpy(made->args, call->args, sizeof(call->args));
	if (lane->fd < 0 || call->held || !target || !(repeated || take(lane)) || !look(lane, call->tid, &root, &mnt))
		return 0;
	at = eci_open_below(root, target, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS);
	if (at >= 0 && repeated && eci_mount_id(at) == call->made) {
		made->mount_id = call->made;
		return eci_answer(notify_fd, call->id, 0) < 0 ? -ENOENT : 1;
	}
	if (at < 0 || !take(lane))
		return 0;
	tree = steal_fd(&lane->tree);
	if (setns(mnt < 0 ? lane->mnt : mnt, CLONE_NEWNS) < 0)
		return 0;
	ret = eci_id_valid(notify_fd, call->id) < 0 ? -ENOENT : attach_and_answer(notify_fd, call, tree, at);
	if (setns(lane->home, CLONE_NEWNS) < 0)
		_exit(1);	/* every path would be the container's */
	made->mount_id = ret > 0 ? eci_mount_id(tree) : 0;
	if (ret < 0)
		made->tid = 0;
	return ret;
}
