/* Calls that make, join or limit namespaces, and others that belong to the host, each by its number.
 *
 *	namespaces OP [WORD...] [, OP [WORD...]]...
 *
 * One line an operation: its words, a colon, OK or the name of the errno. All run in one process, one after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "operations.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static const struct {
	const char *word;
	unsigned long value;
} KINDS[] = {
	{ "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS }, { "pid", CLONE_NEWPID }, { "net", CLONE_NEWNET }, { "ipc", CLONE_NEWIPC },
	{ "uts", CLONE_NEWUTS }, { "cgroup", CLONE_NEWCGROUP }, { "time", 0x80 }, { "none", 0 },
};

static unsigned long kinds(const char *words)
{
	unsigned long value = 0;
	char *copy = strdup(words), *at = copy, *part;

	while ((part = strsep(&at, "+")))
		for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
			if (!strcmp(part, KINDS[i].word))
				value |= KINDS[i].value;
	free(copy);
	return value;
}

static int ended(long pid)
{
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid < 0 ? -1 : 0;
}

static int op_clone(char **w)
{
	return ended(syscall(SYS_clone, kinds(w[0]) | SIGCHLD, NULL, NULL, NULL, NULL));
}

static int op_clone3(char **w)
{
	struct clone_arguments arguments = { .flags = kinds(w[0]), .exit_signal = SIGCHLD };

	return ended(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

static int op_unshare(char **w)
{
	return (int)syscall(SYS_unshare, kinds(w[0]));
}

static int store(const char *path, const char *value)
{
	int ret, fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ret = write(fd, value, strlen(value)) < 0 ? -1 : 0;
	close(fd);
	return ret;
}

/* What the next level of user namespaces needs: the caller's ids have a name in this one. */
static int op_map(char **w)
{
	(void)w;
	return store("/proc/self/uid_map", "0 0 1") || store("/proc/self/setgroups", "deny") ? -1 : store("/proc/self/gid_map", "0 0 1");
}

static int op_fork(char **w)
{
	pid_t pid = fork();
	int status;

	(void)w;
	if (pid <= 0)
		return pid;
	waitpid(pid, &status, 0);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int op_setns(char **w)
{
	int ret, fd = open(w[0], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ret = (int)syscall(SYS_setns, fd, kinds(w[1]));
	close(fd);
	return ret;
}

/* setns by the pidfd of a child that has namespaces of its own. */
static int op_setns_pidfd(char **w)
{
	int ready[2], ret = -1, fd;
	char byte;
	pid_t pid;

	if (pipe(ready) || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare((int)kinds(w[0])) || write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0 && read(ready[0], &byte, 1) == 1)
		ret = (int)syscall(SYS_setns, fd, kinds(w[0]));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ret;
}

/* Any system call by its number, with numbers for arguments. */
static int op_call(char **w)
{
	long arguments[6] = { 0 };

	for (int i = 0; i < 6 && w[i + 1]; i++)
		arguments[i] = strtol(w[i + 1], NULL, 0);
	return (int)syscall(atol(w[0]), arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static int op_hostname(char **w)
{
	return sethostname(w[0], strlen(w[0]));
}

static int op_domainname(char **w)
{
	return setdomainname(w[0], strlen(w[0]));
}

static int op_mknod(char **w)
{
	mode_t type = *w[1] == 'c' ? S_IFCHR : *w[1] == 'b' ? S_IFBLK : *w[1] == 'p' ? S_IFIFO : *w[1] == 'x' ? S_IFDIR : S_IFREG;

	return mknod(w[0], type | 0600, makedev(atoi(w[2]), atoi(w[3])));
}

static int op_open(char **w)
{
	int fd = open(w[0], O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int op_swap(char **w)
{
	return (int)syscall(*w[0] == 'n' ? SYS_swapon : SYS_swapoff, w[1], 0);
}

/* A session keyring of that name, and a key in it; or a key that is looked for. */
static int op_keyring(char **w)
{
	long ring = syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, w[0]);

	return ring < 0 ? -1 : (int)syscall(SYS_add_key, "user", w[1], "secret", 6, -3 /* the session keyring */);
}

static int op_key(char **w)
{
	return syscall(SYS_request_key, "user", w[0], NULL, 0) < 0 ? -1 : 0;
}

/* The init of a new pid namespace reboots: which signal its parent sees. */
static int op_reboot(char **w)
{
	unsigned int how = !strcmp(w[0], "restart") ? LINUX_REBOOT_CMD_RESTART : !strcmp(w[0], "halt") ? LINUX_REBOOT_CMD_HALT : 77;
	int status;
	long pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, how, NULL) < 0 ? errno : 0);
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0)
		return -1;
	if (WIFSIGNALED(status))
		printf("%s\n", sigabbrev_np(WTERMSIG(status)));
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	return errno ? -1 : 0;
}

static int op_write(char **w)
{
	return store(w[0], w[1]);
}

static const struct operation OPS[] = {
	{ "clone", 1, op_clone }, { "clone3", 1, op_clone3 }, { "unshare", 1, op_unshare }, { "fork", 0, op_fork }, { "map", 0, op_map }, { "setns", 2, op_setns },
	{ "setns-pidfd", 1, op_setns_pidfd }, { "call", 1, op_call }, { "hostname", 1, op_hostname }, { "domainname", 1, op_domainname },
	{ "mknod", 4, op_mknod }, { "open", 1, op_open }, { "swap", 2, op_swap }, { "keyring", 2, op_keyring }, { "key", 1, op_key },
	{ "reboot", 1, op_reboot }, { "write", 2, op_write },
};

int main(int argc, char **argv)
{
	return operate(OPS, sizeof(OPS) / sizeof(OPS[0]), 1, argc, argv);
}
