/* Children of the mounter, and what they become.
 *
 * A child shares our memory and file table (CLONE_VM | CLONE_FILES), so starting one costs a stack and a task, and a descriptor it makes
 * is ours. It has its own fs_struct and credentials, which is what setns(2) asks for. One waits ready, so that no caller pays for its birth.
 * We wait on a futex with a deadline, and not by CLONE_VFORK: a walk through a FUSE of the container may hang in the kernel, where even
 * SIGKILL waits for that server. Such a child is killed and left: it never runs an instruction of ours again, and its slot, stack and
 * all, stays taken until the kernel clears it. With all slots taken so, further work answers EIO.
 * A child that becomes a caller, or takes a descriptor of one's, and so may hang, first takes a file table of its own without the listener:
 * else that would outlive us and our supervisor, and trapped calls would hang. What it needs of the listener, and of our table, it asks us
 * for (eci_ask).
 */
#include <linux/capability.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mounter.h"

enum { SLOTS = 8, STACK = 128 * 1024, DEADLINE_MS = 2000, KILLED_MS = 100 };

static struct slot {
	char stack[STACK] __attribute__((aligned(16)));
	int (*run)(void *arg);
	void *arg;
	int result;
	uint32_t go, done;	/* futexes */
	const struct caller *asks;	/* done means: eci_ask, for `asked` */
	int asked;
	int tid;		/* cleared by the kernel when the child has left our memory: then the slot is free */
} slots[SLOTS], *ready, *running;
static pid_t mounter;

/* Waits until `*futex` is set, at most `ms` (for ever if negative); whether it is. errno is not asked: a child shares it. */
static bool wait_set(uint32_t *futex, int ms)
{
	const struct timespec timeout = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	bool late = false;

	while (!__atomic_load_n(futex, __ATOMIC_ACQUIRE)) {
		if (late)
			return false;
		late = syscall(SYS_futex, futex, FUTEX_WAIT_PRIVATE, 0, ms < 0 ? NULL : &timeout, NULL, 0) < 0 && ms >= 0;
	}
	return true;
}

static void set(uint32_t *futex)
{
	__atomic_store_n(futex, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, futex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int child(void *opaque)
{
	struct slot *slot = opaque;
	pid_t parent;

	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* nothing is done for a container that nobody answers for */
	/* It may have died before that call, and then nobody ever says go. In the container's pid namespace we have no parent to look at,
	 * but one born there is used at once.
	 */
	parent = getppid();
	if ((parent && parent != mounter) || !wait_set(&slot->go, parent ? -1 : DEADLINE_MS))
		return 0;
	slot->result = slot->run(slot->arg);
	/* What is open here would make a mount busy for a call that the kernel goes on with, and so would the directory we stand in. */
	if (close_range(0, HELD_LAST, CLOSE_RANGE_UNSHARE) < 0 || chdir("/") < 0)
		slot->result = -EIO;
	set(&slot->done);
	return 0;
}

/* Children are reaped by the kernel (SIGCHLD is ignored): one of the container's pid namespace must not keep that from ending. */
static struct slot *spawn(void)
{
	const int flags = CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;

	mounter = getpid();
	for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
		if (__atomic_load_n(&slot->tid, __ATOMIC_ACQUIRE))
			continue;
		slot->go = slot->done = 0;
		slot->asks = NULL;
		return clone(child, slot->stack + STACK, flags, slot, &slot->tid, NULL, &slot->tid) < 0 ? NULL : slot;
	}
	return NULL;
}

/* By a pidfd, and only if the child had not ended before that was opened: the number could be somebody else's. */
static void end(struct slot *slot)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, slot->tid, 0);

	if (pidfd >= 0 && __atomic_load_n(&slot->tid, __ATOMIC_ACQUIRE))
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	wait_set(&slot->done, KILLED_MS);
}

/* In a child with a file table of its own: 0 if the notification stands, or the number that the descriptor `fd` of the child gets in the
 * mounter's table. -errno. */
int eci_ask(const struct caller *caller, int fd)
{
	struct slot *slot = running;

	slot->asks = caller;
	slot->asked = fd;
	slot->go = 0;
	set(&slot->done);
	/* The mounter answers at once. If it is dead, its end was no signal for us while we were about to become the caller. */
	if (!wait_set(&slot->go, DEADLINE_MS))
		_exit(1);
	return slot->result;
}

static int asked(const struct caller *caller, int child, int fd)
{
	cleanup_fd int pidfd = fd < 0 ? -1 : (int)syscall(SYS_pidfd_open, child, 0);

	return fd < 0 ? eci_id_valid(caller->notify, caller->id) : result(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

void eci_child_ready(void)
{
	if (!ready)
		ready = spawn();
}

/* What run(arg) returns in a child; -EIO if it does not end in time. `newborn`: born in the namespaces we are in now. Buffers of system
 * calls that may hang belong on the child's own stack: the kernel may still write to them when we have gone on. */
int eci_in_child(int (*run)(void *arg), void *arg, bool newborn)
{
	struct slot *slot = newborn || !ready || !__atomic_load_n(&ready->tid, __ATOMIC_ACQUIRE) ? spawn() : ready;

	if (!slot)
		return -EIO;
	if (!newborn)
		ready = NULL;
	slot->run = run;
	slot->arg = arg;
	running = slot;
	for (set(&slot->go); wait_set(&slot->done, DEADLINE_MS); set(&slot->go)) {
		if (!slot->asks)
			return slot->result;
		slot->done = 0;
		slot->result = asked(slot->asks, slot->tid, slot->asked);
		slot->asks = NULL;
	}
	end(slot);
	return -EIO;
}

/* Opens those of a task's namespaces that `which` has the bit 1 << NS_* of. */
int eci_open_namespaces(int proc, int *ns, unsigned int which)
{
	static const char *const paths[NAMESPACES] = { "ns/user", "ns/mnt", "ns/pid", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup" };

	for (int i = 0; i < NAMESPACES; i++)
		if (which & 1U << i && (ns[i] = openat(proc, paths[i], O_RDONLY | O_CLOEXEC)) < 0)
			return -errno;
	return 0;
}

/* The numbers of the line of /proc/PID/status that starts with `key`; how many there are. */
int eci_numbers(const char *status, const char *key, uint32_t *to, int room)
{
	const char *line = strstr(status, key);
	int n = 0;

	for (line = line ? line + strlen(key) : ""; n < room; n++) {
		line += strspn(line, " \t");
		if (*line < '0' || *line > '9')
			break;
		to[n] = (uint32_t)strtoul(line, (char **)&line, 10);
	}
	return n;
}

static int read_status(struct caller *caller)
{
	static char status[32768];	/* the groups are what can be many */
	const char *caps = eci_read_text(caller->proc, "status", status, sizeof(status)) ? strstr(status, "\nCapEff:\t") : NULL;

	caller->levels = eci_numbers(status, "\nNStgid:", caller->tgid_in, MAX_LEVELS);
	if (!caps || eci_numbers(status, "\nUid:", caller->uid, 4) != 4 || eci_numbers(status, "\nGid:", caller->gid, 4) != 4 ||
	    eci_numbers(status, "\nNSpid:", caller->tid_in, MAX_LEVELS) != caller->levels || eci_numbers(status, "\nPPid:", &caller->parent, 1) != 1)
		return -ENOENT;
	caller->caps = strtoull(caps + strlen("\nCapEff:\t"), NULL, 16);
	caller->ngroups = eci_numbers(status, "\nGroups:", caller->groups, MAX_GROUPS);
	return 0;
}

/* Takes hold of the blocked thread: look first, then ask whether the notification still stands. -ENOENT: it is gone. */
int eci_look(struct caller *caller, unsigned int which)
{
	char path[16];
	int ret;

	snprintf(path, sizeof(path), "%u", caller->tid);
	caller->proc = openat(eci.proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (caller->proc < 0 || eci_open_namespaces(caller->proc, caller->ns, which) < 0)
		return -ENOENT;
	caller->root = openat(caller->proc, "root", O_PATH | O_CLOEXEC);
	caller->cwd = openat(caller->proc, "cwd", O_PATH | O_CLOEXEC);
	if (caller->root < 0 || caller->cwd < 0 || read_status(caller) < 0)
		return -ENOENT;
	ret = eci_same_label(caller->proc, eci.spare.label) ? 0 : -EACCES;
	return eci_id_valid(caller->notify, caller->id) < 0 ? -ENOENT : ret;
}

void eci_forget(struct caller *caller)
{
	int *fds[] = { &caller->proc, &caller->root, &caller->cwd, &caller->own_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		eci_close(fds[i]);
	for (int i = 0; i < NAMESPACES; i++)
		eci_close(&caller->ns[i]);
}

/* In a child: a file table of its own, a copy of the mounter's but for the listener and the supervisor's socket, whose numbers stay taken. */
int eci_own_table(const struct caller *caller)
{
	return unshare(CLONE_FILES) < 0 || dup3(eci.proc, caller->notify, O_CLOEXEC) < 0 || dup3(eci.proc, eci.socket, O_CLOEXEC) < 0 ? -errno : 0;
}

/* In a child: the caller's ids, mount namespace, root, cwd, user namespace and effective capabilities, in the one order in which each
 * step is still allowed. What follows has the caller's authority, no more. */
int eci_become(const struct caller *caller)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = (uint32_t)caller->caps, .permitted = (uint32_t)caller->caps },
						  { .effective = (uint32_t)(caller->caps >> 32), .permitted = (uint32_t)(caller->caps >> 32) } };

	/* The files below /proc/sys/net are those of who looks. Before the rest: the caller needs no right to join where it is. */
	if (eci_own_table(caller) < 0 || setns(caller->ns[NS_NET], CLONE_NEWNET) < 0)
		return -errno;
	/* The host's numbers, so before the user namespace; SECBIT_NO_SETUID_FIXUP keeps our capabilities until then. */
	if (syscall(SYS_setgroups, caller->ngroups, caller->groups) < 0 ||
	    syscall(SYS_setresgid, caller->gid[0], caller->gid[1], caller->gid[2]) < 0 ||
	    syscall(SYS_setresuid, caller->uid[0], caller->uid[1], caller->uid[2]) < 0)
		return -errno;
	syscall(SYS_setfsgid, caller->gid[3]);
	syscall(SYS_setfsuid, caller->uid[3]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a change of ids clears it, */
	prctl(PR_SET_DUMPABLE, 0);		/* and sets this to fs.suid_dumpable */
	for (int i = NS_IPC; i < NAMESPACES; i++)	/* what mqueue and cgroup file systems are of, where they may be asked for */
		if (caller->ns[i] >= 0 && setns(caller->ns[i], 0) < 0)
			return -errno;
	if (setns(eci.ns[NS_USER], CLONE_NEWUSER) < 0 || setns(caller->ns[NS_MNT], CLONE_NEWNS) < 0 || fchdir(caller->root) < 0 ||
	    chroot(".") < 0 || fchdir(caller->cwd) < 0)
		return -errno;
	/* EINVAL: we are in it already. The caller's is the container's or below it, so that we may. */
	if (setns(caller->ns[NS_USER], CLONE_NEWUSER) < 0 && errno != EINVAL)
		return -errno;
	if (syscall(SYS_capset, &header, caps) < 0)
		return -errno;
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* joining a user namespace has done both again */
	return result(prctl(PR_SET_DUMPABLE, 0));
}
