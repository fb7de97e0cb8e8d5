/* Children of the mounter, and what they become.
 *
 * A child shares our memory and file table (CLONE_VM | CLONE_FILES), so starting one costs a stack and a task, and a descriptor it makes
 * is ours. It has its own fs_struct and credentials, which is what setns(2) asks for. We wait for it on a futex that the kernel clears
 * when it lets go of our memory, with a deadline, and not by CLONE_VFORK: a walk through a FUSE of the container may hang in the kernel,
 * where even SIGKILL waits for that server's answer. Such a child is killed and left: it never runs an instruction of ours again, and
 * its slot stays taken until it is reaped. With all slots taken so, further work answers EIO.
 */
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "mounter.h"

enum { SLOTS = 8, STACK = 128 * 1024 };

static struct slot {
	char stack[STACK] __attribute__((aligned(16)));
	int (*run)(void *arg);
	void *arg;
	int result;
	int tid;		/* cleared by the kernel when the child has left our memory */
	pid_t stuck;		/* killed after its deadline, not yet reaped */
} slots[SLOTS];

static int start(void *opaque)
{
	struct slot *slot = opaque;

	/* The mounter's end is the end of its children: nothing is done for a container that nobody answers for. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	slot->result = slot->run(slot->arg);
	return 0;
}

/* 0, or -ETIMEDOUT after the deadline. */
static int wait_cleared(int *tid, int deadline_ms)
{
	struct timespec until;
	int now;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += deadline_ms / 1000;
	until.tv_nsec += (deadline_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	while ((now = __atomic_load_n(tid, __ATOMIC_ACQUIRE)) != 0)
		if (syscall(SYS_futex, tid, FUTEX_WAIT_BITSET, now, &until, NULL, FUTEX_BITSET_MATCH_ANY) < 0 && errno == ETIMEDOUT)
			return -ETIMEDOUT;
	return 0;
}

static struct slot *free_slot(void)
{
	pid_t dead;

	while ((dead = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
		for (int i = 0; i < SLOTS; i++)
			if (slots[i].stuck == dead)
				slots[i].stuck = 0;
	for (int i = 0; i < SLOTS; i++)
		if (!slots[i].stuck && !slots[i].tid)
			return &slots[i];
	return NULL;
}

/* What run(arg) returns in a child; -EIO if it does not end within CHILD_DEADLINE_MS. `arg` must not be on a stack that such a child
 * could still be made to write to by the kernel: buffers of system calls belong on the child's own stack. */
int eci_in_child(int (*run)(void *arg), void *arg)
{
	struct slot *slot = free_slot();
	pid_t pid;

	if (!slot)
		return -EIO;
	slot->run = run;
	slot->arg = arg;
	slot->result = -EIO;
	pid = clone(start, slot->stack + STACK, CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, slot, &slot->tid,
		    NULL, &slot->tid);
	if (pid < 0) {
		slot->tid = 0;
		return -EIO;
	}
	if (wait_cleared(&slot->tid, CHILD_DEADLINE_MS) == 0)
		return slot->result;
	slot->stuck = pid;	/* not reaped yet, so the number is still its own */
	kill(pid, SIGKILL);
	wait_cleared(&slot->tid, 100);
	return -EIO;
}

int eci_id_valid(const struct caller *caller)
{
	uint64_t id = caller->id;

	return ioctl(caller->notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) < 0 ? -errno : 0;
}

/* Opens those of a task's namespaces that `which` names by letter: u, m, p, n, i, t (uts). */
int eci_open_namespaces(int proc, struct namespaces *ns, const char *which)
{
	static const struct { char letter; const char *path; size_t where; } known[] = {
		{ 'u', "ns/user", offsetof(struct namespaces, user) }, { 'm', "ns/mnt", offsetof(struct namespaces, mnt) },
		{ 'p', "ns/pid", offsetof(struct namespaces, pid) }, { 'n', "ns/net", offsetof(struct namespaces, net) },
		{ 'i', "ns/ipc", offsetof(struct namespaces, ipc) }, { 't', "ns/uts", offsetof(struct namespaces, uts) },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		int *fd = (int *)((char *)ns + known[i].where);

		if (!strchr(which, known[i].letter))
			continue;
		*fd = openat(proc, known[i].path, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			return -errno;
	}
	return 0;
}

/* The numbers of the line of /proc/PID/status that starts with `key`; how many there are. */
static size_t numbers(const char *status, const char *key, uint32_t *to, size_t room)
{
	const char *line = strstr(status, key);
	size_t n = 0;

	if (!line)
		return 0;
	line += strlen(key);
	while (n < room && *line && *line != '\n') {
		char *end;
		unsigned long value = strtoul(line, &end, 10);

		if (end == line)
			break;
		to[n++] = (uint32_t)value;
		line = end + strspn(end, " \t");
	}
	return n;
}

static int read_status(struct caller *caller)
{
	static char status[32768];	/* the groups are what can be many */
	cleanup_fd int fd = openat(caller->proc, "status", O_RDONLY | O_CLOEXEC);
	size_t got = 0, levels;
	uint32_t tgid;
	ssize_t n;
	const char *caps;

	if (fd < 0)
		return -errno;
	while (got < sizeof(status) - 1 && (n = read(fd, status + got, sizeof(status) - 1 - got)) > 0)
		got += (size_t)n;
	status[got] = 0;
	caps = strstr(status, "\nCapEff:\t");
	levels = numbers(status, "\nNStgid:", (uint32_t *)caller->tgid_in, MAX_LEVELS);
	if (!caps || numbers(status, "\nUid:", caller->uid, 4) != 4 || numbers(status, "\nGid:", caller->gid, 4) != 4 ||
	    numbers(status, "\nTgid:", &tgid, 1) != 1 || numbers(status, "\nNSpid:", (uint32_t *)caller->tid_in, MAX_LEVELS) != levels)
		return -EIO;
	caller->caps = strtoull(caps + strlen("\nCapEff:\t"), NULL, 16);
	caller->tgid = (pid_t)tgid;
	caller->levels = (int)levels;
	caller->ngroups = numbers(status, "\nGroups:", caller->groups, MAX_GROUPS);
	return 0;
}

/* -EACCES for a caller under an LSM label that is not ours: its profile may say `deny mount`, and the kernel would ask ours. */
static int same_label(const struct caller *caller)
{
	cleanup_fd int fd = -1;
	char label[sizeof(eci.label)] = "";

	if (!eci.label[0])
		return 0;
	fd = openat(caller->proc, "attr/current", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, label, sizeof(label) - 1) < 0)
		return -EACCES;
	return strcmp(label, eci.label) ? -EACCES : 0;
}

/* Takes hold of the blocked thread: look first, then ask whether the notification still stands. -ENOENT: it is gone. */
int eci_look(struct caller *caller, bool with_net)
{
	char path[32];
	int ret;

	snprintf(path, sizeof(path), "%d", caller->tid);
	caller->proc = openat(eci.proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (caller->proc < 0)
		return -ENOENT;
	ret = eci_open_namespaces(caller->proc, &caller->ns, with_net ? "umpn" : "ump");
	if (ret < 0)
		return ret == -EMFILE ? -EIO : -ENOENT;
	caller->root = openat(caller->proc, "root", O_PATH | O_CLOEXEC);
	caller->cwd = openat(caller->proc, "cwd", O_PATH | O_CLOEXEC);
	if (caller->root < 0 || caller->cwd < 0)
		return -ENOENT;
	ret = read_status(caller);
	if (ret < 0)
		return ret;
	ret = same_label(caller);
	return eci_id_valid(caller) < 0 ? -ENOENT : ret;
}

void eci_forget(struct caller *caller)
{
	int *fds[] = { &caller->proc, &caller->root, &caller->cwd, &caller->ns.user, &caller->ns.mnt, &caller->ns.pid, &caller->ns.net,
		       &caller->own_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		eci_close(fds[i]);
}

/* In a child: the caller's ids. Still with our capabilities (SECBIT_NO_SETUID_FIXUP), because the numbers are the host's. */
int eci_take_ids(const struct caller *caller)
{
	if (syscall(SYS_setgroups, caller->ngroups, caller->groups) < 0 ||
	    syscall(SYS_setresgid, caller->gid[0], caller->gid[1], caller->gid[2]) < 0 ||
	    syscall(SYS_setresuid, caller->uid[0], caller->uid[1], caller->uid[2]) < 0)
		return -errno;
	if (caller->gid[3] != caller->gid[1])
		syscall(SYS_setfsgid, caller->gid[3]);
	if (caller->uid[3] != caller->uid[1])
		syscall(SYS_setfsuid, caller->uid[3]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a change of ids clears it */
	return 0;
}

/* In a child that has taken the ids and joined the container's user namespace: the caller's mount namespace, root, cwd, user namespace
 * and effective capabilities, in the one order in which each step is still allowed. What follows has the caller's authority, no more. */
int eci_enter(const struct caller *caller)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = (uint32_t)caller->caps, .permitted = (uint32_t)caller->caps },
						  { .effective = (uint32_t)(caller->caps >> 32), .permitted = (uint32_t)(caller->caps >> 32) } };

	if (setns(caller->ns.mnt, CLONE_NEWNS) < 0 || fchdir(caller->root) < 0 || chroot(".") < 0)
		return -errno;
	if (fchdir(caller->cwd) < 0)	/* not searchable by the caller: then no relative path of its leads anywhere */
		return -errno;
	/* EINVAL: we are in it already. The caller's is the container's or below it, so that we may. */
	if (setns(caller->ns.user, CLONE_NEWUSER) < 0 && errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}
