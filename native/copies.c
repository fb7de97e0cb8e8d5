/* Calls that hand out a mount: plain binds and clones above locked mounts, and the mount of a context.
 *
 * None of them shows what is below a locked mount: a copy is complete, its locks are the original's, and a procfs or sysfs is a tree.
 */
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "mounter.h"

enum { THREAD = O_EXCL /* PIDFD_THREAD, Linux 6.9 */, GIVEN = 32 };

/* What a context is of, nobody says. So those that we give out have a mark: the signal for O_ASYNC, which a context has no use for. Who
 * removes it gets the kernel's refusal; who sets it on another context loses that. */
enum { MARK = 63 };

/* The last tree that was made for a call which a signal took away: the context is used up, so the same call, made again, gets the tree.
 * 0 is no descriptor. */
static struct { int context, tree; uint64_t attributes; } lost;

/* ---- binds, clones, moves ---- */

/* A clone, detached; a recursive one where a plain one is EINVAL, above locked mounts. -EAGAIN: mounts have come or gone since a rule looked at
 * their table. What comes of a plain one the kernel will say, unless a rule has looked at what is held: -1. Then it goes when the child ends,
 * later than its other descriptors: the kernel waits for a grace period, and the caller need not. */
static int clone_of(const struct request *request, int source, bool recursive)
{
	const unsigned int how = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	cleanup_fd int plain = recursive ? -1 : open_tree(source, "", how);

	if (plain < 0 && (recursive || (errno == EINVAL && !request->clear))) {
		plain = open_tree(source, "", how | AT_RECURSIVE);
		return plain < 0 ? -errno : request->held && poll(&(struct pollfd){ HELD, POLLPRI, 0 }, 1, 0) ? -EAGAIN : steal_fd(&plain);
	}
	if (plain < 0)
		return errno == EINVAL && request->clear > 1 ? 1 - (int)request->clear : -errno;
	return request->held ? steal_fd(&plain) : (dup3(plain, HELD_LAST + 1, O_CLOEXEC), -1);
}

/* The clone of what `path` names, made once: the walk to a target may have to start again. The child's own descriptor of it. What is to be
 * moved is not cloned. */
static int clone_source(struct action *action, const char *path, bool follow, bool recursive)
{
	cleanup_fd int source = -1, tree = -1;
	int ret = eci_become(action->caller);

	if (ret < 0 || action->tree >= 0)
		return ret < 0 ? ret : action->tree;
	ret = source = eci_walk_from(action->caller, action->request->fd, path, follow);
	if (ret >= 0 && action->op == OP_MOVE)
		return steal_fd(&source);
	if (ret >= 0)
		ret = tree = action->request->clear == COPIED ? steal_fd(&source) : clone_of(action->request, source, recursive);
	if (ret >= 0)
		ret = action->tree = eci_ask(action->caller, tree);
	return ret < 0 ? ret : steal_fd(&tree);
}

/* What fails before the copy is there is the kernel's to say; where a rule looks, it looks again. */
static int handed_back(struct action *action, int ret)
{
	if (ret <= -WANT_OWN_FD || ret == -EIO || (action->caller->held && ret != -EAGAIN))
		return ret;
	action->not_tree = true;
	return 0;
}

/* A bind; of OP_MAKE_NODE onto a file that is made for it, in the directory that is held; of OP_MOVE what is held goes there itself. */
int eci_bind(void *opaque)
{
	struct action *action = opaque;
	const char *name = action->op == OP_MAKE_NODE ? action->strings[0][0] : NULL;
	unsigned int how = (unsigned int)action->request->flags | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	cleanup_fd int target = -1;
	struct place at, ours;
	int tree = clone_source(action, action->strings[0][1], true, action->request->tree), ret = tree;

	if (ret >= 0 && name)
		ret = result(mknodat(HELD + 1, name, S_IFREG, 0));
	if (ret >= 0)
		ret = target = name ? openat(HELD + 1, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : eci_walk(action->caller, action->strings[0][0], true);
	if (ret < 0)
		return handed_back(action, ret);
	if (action->request->set && eci_mount_id(target) == action->request->set)
		return 0;
	ret = eci_place(target, &at) < 0 || eci_place(tree, &ours) < 0 ? -errno : 0;
	if (ret == 0)
		ret = action->op == OP_MOVE || at.directory == ours.directory ? eci_ask(action->caller, -1) : -ENOTDIR;
	if (ret == 0)
		ret = result(move_mount(tree, "", target, "", how));
	if (ret < 0 && name)
		unlinkat(HELD + 1, name, 0);
	action->attached = ret == 0 && action->op == OP_BIND;
	return ret;
}

/* What the caller is given is open: an O_PATH descriptor, as fsmount(2) and open_tree(2) return, the kernel does not hand on to another
 * process. It serves for all that those do. */
static int open_for_caller(struct action *action, int tree)
{
	char link[40];
	int fd;

	snprintf(link, sizeof(link), "self/fd/%d", tree);
	fd = openat(eci.proc, link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return action->out = fd < 0 ? -errno : eci_ask(action->caller, fd);
}

int eci_open_tree(void *opaque)
{
	struct action *action = opaque;
	const uint64_t flags = action->request->flags;
	int tree = clone_source(action, action->strings[0][0], !(flags & AT_SYMLINK_NOFOLLOW), flags & AT_RECURSIVE);
	int ret = tree < 0 ? 0 : eci_set_flags(tree, action->request->set);	/* of open_tree_attr(2) */

	return tree < 0 ? handed_back(action, tree) : ret < 0 ? ret : open_for_caller(action, tree);
}

/* ---- descriptors of the caller ---- */

/* Whether a link of procfs leads to what is asked for: a context, or /dev/fuse for a mount of a new file system. */
static bool is_it(const struct action *action, const char *link)
{
	char text[32] = "";
	struct statx st = { .stx_mode = 0 };

	if (action->op == OP_MOUNT_NEW && statx(eci.proc, link, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0)
		return S_ISCHR(st.stx_mode) && st.stx_rdev_major == 10 && st.stx_rdev_minor == 229;
	return readlinkat(eci.proc, link, text, sizeof(text) - 1) > 0 && !strcmp(text, "anon_inode:[fscontext]");
}

/* What the calling thread has under the request's number, as a descriptor of the child's own, which is still the mounter but for its table:
 * if that is swapped between the looks for a file of a server of the container, closing it may hang. -EBADF, -EINVAL as the kernel's. */
int eci_take(const struct action *action)
{
	const struct caller *caller = action->caller;
	cleanup_fd int context = -1, pidfd = -1;
	char link[40];

	if (eci_own_table(caller) < 0)
		return -EIO;
	snprintf(link, sizeof(link), "%u/fd/%d", caller->tid, action->request->fd);
	if (!is_it(action, link))
		return faccessat(eci.proc, link, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? -EBADF : -EINVAL;
	pidfd = (int)syscall(SYS_pidfd_open, caller->tid, THREAD);
	if (pidfd < 0 && (caller->tid == caller->tgid_in[0] ||
			  syscall(SYS_kcmp, caller->tid, caller->tgid_in[0], KCMP_FILES, 0, 0) == 0))	/* an older kernel, a shared table */
		pidfd = (int)syscall(SYS_pidfd_open, caller->tgid_in[0], 0);
	context = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, action->request->fd, 0);
	if (context < 0 || eci_ask(caller, -1) < 0)
		return -EIO;
	snprintf(link, sizeof(link), "self/fd/%d", context);
	return is_it(action, link) ? steal_fd(&context) : -EINVAL;
}

/* ---- fsopen and fsmount of procfs and sysfs ---- */

/* A context made as the caller and for its namespaces, which we shall know again. Where the caller may not show those namespaces, the
 * kernel's own one will do: no superblock will come of it. One with a name, which an admin's rule has judged, is neither procfs nor sysfs. */
int eci_fsopen(struct action *action)
{
	bool named = *action->strings[0][0];

	action->out = eci_context(named ? TREES : action->request->tree, action->caller->ns, action->caller, action->strings, -1);
	action->not_tree = !named && action->out < 0 && action->out != -EIO;
	return action->out >= 0 && !named ? result(fcntl(action->out, F_SETSIG, MARK)) : action->not_tree ? 0 : action->out;
}

/* As the caller: whether it may mount at all, and with these flags, by a call that can only fail. */
static int look_at_context(void *opaque)
{
	struct action *action = opaque;
	int context = eci_take(action), ret;

	if (context == -EIO)
		return context;
	action->not_tree = context < 0 || fcntl(context, F_GETSIG) != MARK;
	if (action->not_tree)
		return 0;
	if (lost.tree > 0 && lost.attributes == action->request->set &&
	    syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, lost.context, context) == 0) {
		action->tree = lost.tree;
		lost.tree = 0;
	}
	ret = action->context = eci_ask(action->caller, context);
	if (ret >= 0 && (ret = eci_become(action->caller)) == 0)
		ret = result(fsmount(-1, (unsigned int)action->request->flags, (unsigned int)action->request->set));
	return ret == -EBADF ? 0 : ret;
}

static int finish_tree(void *opaque)
{
	struct action *action = opaque;
	int ret = eci_become(action->caller);

	if (ret == 0)
		ret = eci_set_flags(action->tree, action->request->set & ~(uint64_t)(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME));
	return ret < 0 ? ret : open_for_caller(action, action->tree);
}

/* The context of a procfs or sysfs, which the kernel refuses to mount where the caller is, becomes a tree in the stage. Anything else is
 * handed back. Cannot hurt the host: it shows namespaces of who opened the context, and that was a task of the container. */
int eci_fsmount(struct action *action)
{
	int ret = eci_in_child(look_at_context, action, false);

	if (ret < 0 || action->not_tree)
		return ret;
	if (action->tree < 0)
		action->tree = eci_tree_of(action->context, action->request->set & (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME),
					   action->caller->ns[NS_NET]);
	return action->tree < 0 ? action->tree : eci_in_child(finish_tree, action, false);
}

/* ---- the answer ---- */

/* A detached tree can be attached as long as the descriptor is open that it was made with, which is ours. So these are kept, and the
 * oldest go: what was not attached by then can only be looked at. */
static void keep(struct action *action)
{
	static int trees[GIVEN];
	static unsigned int next;
	bool again = !action->given && action->op == OP_FSMOUNT;
	int *kept[] = { again ? &lost.tree : &trees[next++ % GIVEN], &lost.context }, *fds[] = { &action->tree, &action->context };

	for (int i = 0; i <= again; i++) {
		if (*kept[i] > 0)
			close(*kept[i]);
		*kept[i] = steal_fd(fds[i]);
	}
	if (again)
		lost.attributes = action->request->set;
}

/* Answers with a new descriptor of the caller's, or returns what is to be answered instead: -EMFILE, say. */
int eci_give(struct action *action)
{
	unsigned int cloexec = action->op == OP_OPEN_TREE ? OPEN_TREE_CLOEXEC : FSMOUNT_CLOEXEC;	/* the same number as FSOPEN_CLOEXEC */
	struct seccomp_notif_addfd give = { .id = action->caller->id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (uint32_t)action->out,
					    .newfd_flags = action->request->flags & cloexec ? O_CLOEXEC : 0 };
	int ret = result(ioctl(action->caller->notify, SECCOMP_IOCTL_NOTIF_ADDFD, &give));

	action->given = ret >= 0;
	if (action->tree >= 0)
		keep(action);
	return ret < 0 ? ret : 0;
}
