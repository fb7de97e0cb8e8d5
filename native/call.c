/* create, run and exec: a process of the fork server's (eci_supervisor.oci.creator) thinks and stages, we run the real runtime.
 *
 * What the real runtime inherits must be what the engine gave us: descriptors, terminal, session, cgroups, limits, environment; and its
 * container's init must be a descendant of the engine's. So it is our child, in a mount namespace of our own, which the creator has
 * joined and staged the container in. On one SOCK_SEQPACKET connection, fields separated by NUL:
 *
 *   we   call, VERSION, REAL, SELF     with descriptors 0 to 2; all else the creator reads in our /proc directory
 *   it   exit, CODE                    it is over, and told
 *        become, NUMBERS, words…       exec: we become the real runtime
 *        run, NUMBERS, words…          create, run: as our child; `ended, CODE` is our answer, and `exit` comes next
 *        version, THEIRS               from a server of another version
 *        error, SENTENCE               we are nobody for whom it would do anything; as after `version`, Python has a look
 *
 * NUMBERS, with blanks between them, are where the descriptors belong that come with the packet; the words replace those of the command line
 * from the command on, unless there are none. Whoever of us two dies, the other ends as if it had been killed itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "front.h"

#define MOST_FDS 4
#define ANSWER_LIMIT (1 << 16)
#define ANSWER_TIMEOUT_S 2

struct answer {
	char text[ANSWER_LIMIT + 1];
	char *end;
	int fds[MOST_FDS];
	size_t count;
};

int connected(const char *path, int type, time_t timeout_s)
{
	struct timeval timeout = { .tv_sec = timeout_s };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) &&
	    !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* In the child: the runtime, with what we were started with. */
static void become_real(const char *real, char **argv, pid_t parent)
{
	const char *meant = getenv("LISTEN_PID");
	char number[16];

	if (meant && atoi(meant) == parent) {	/* socket activation is meant for the runtime */
		snprintf(number, sizeof(number), "%d", getpid());
		setenv("LISTEN_PID", number, 1);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(getppid() == parent ? become(real, argv) : 127);
}

/* What a terminal sends goes to its whole process group, so only what a process sent is sent on. */
int run_real(const char *real, char **argv, int creator)
{
	static const int KEPT[] = { SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGPIPE, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP };
	void (*on_child)(int) = signal(SIGCHLD, SIG_DFL);
	struct signalfd_siginfo came;
	sigset_t watched, before;
	struct pollfd sources[] = { { -1, POLLIN, 0 }, { creator, POLLIN, 0 } };
	pid_t parent = getpid(), child, ended = 0;
	int status = 1 << 8;

	sigfillset(&watched);
	for (size_t i = 0; i < sizeof(KEPT) / sizeof(*KEPT); i++)
		sigdelset(&watched, KEPT[i]);
	sigprocmask(SIG_BLOCK, &watched, &before);
	sources[0].fd = signalfd(-1, &watched, SFD_CLOEXEC);
	child = fork();
	if (!child) {
		signal(SIGCHLD, on_child);
		sigprocmask(SIG_SETMASK, &before, NULL);
		become_real(real, argv, parent);
	}
	while (child > 0 && ended != child && (poll(sources, 2, -1) >= 0 || errno == EINTR)) {
		if (sources[1].revents) {
			kill(child, SIGKILL);
			sources[1].fd = -1;
		}
		if (!(sources[0].revents & POLLIN) || read(sources[0].fd, &came, sizeof(came)) != sizeof(came))
			continue;
		if (came.ssi_signo == SIGCHLD)
			ended = waitpid(child, &status, WNOHANG);
		else if (came.ssi_code <= 0)
			kill(child, (int)came.ssi_signo);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The creator's next packet; -EPIPE once it is gone. */
static int receive(int fd, struct answer *answer)
{
	struct iovec part = { answer->text, ANSWER_LIMIT };
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(answer->fds))]; } control;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	const struct cmsghdr *header;
	ssize_t length;

	while ((length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (length <= 0 || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPIPE;
	answer->end = answer->text + length;
	*answer->end = '\0';
	header = CMSG_FIRSTHDR(&message);
	answer->count = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
	if (header)
		memcpy(answer->fds, CMSG_DATA(header), answer->count * sizeof(int));
	return 0;
}

int asked(const struct command_line *line, const char *what, const char *real, const char *more)
{
	static const int STANDARD[] = { 0, 1, 2 };
	char path[PATH_MAX], packet[3 * PATH_MAX];
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(STANDARD))]; } control = {
		.header = { CMSG_LEN(sizeof(STANDARD)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { packet, 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };
	int is_call = !strcmp(what, "call"), fd;

	snprintf(path, sizeof(path), "%s/fork.sock", line->state_dir);
	fd = connected(path, SOCK_SEQPACKET, is_call ? 0 : ANSWER_TIMEOUT_S);
	if (fd < 0)
		return fd;
	memcpy(CMSG_DATA(&control.header), STANDARD, sizeof(STANDARD));
	message.msg_controllen = is_call ? sizeof(control) : 0;
	part.iov_len = (size_t)snprintf(packet, sizeof(packet), "%s%c%s%c%s%c%s", what, 0, ECI_VERSION, 0, real, 0, more);
	if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0)
		return fd;
	close(fd);
	return -EPIPE;
}

/* Puts the descriptors that came where they belong; the real runtime's words. */
static char **prepared(const struct command_line *line, struct answer *answer)
{
	char *word = answer->text + strlen(answer->text) + 1, **words, **next;

	for (size_t i = 0; i < answer->count && word < answer->end; i++) {
		dup2(answer->fds[i], (int)strtol(word, &word, 10));
		close(answer->fds[i]);
	}
	word += strlen(word) + 1;
	if (word >= answer->end)
		return line->passed;
	words = calloc(line->before + (size_t)(answer->end - word) + 2, sizeof(*words));
	if (!words)
		return NULL;
	memcpy(words, line->passed, line->before * sizeof(*words));
	for (next = words + line->before; word <= answer->end; word += strlen(word) + 1)
		*next++ = word;
	return words;
}

/* What the creator wants, until it is over. Returns the exit code, -EPIPE if the creator died. */
static int served(const struct command_line *line, const char *real, int fd, struct answer *answer)
{
	char **words, ended[32];

	while (strcmp(answer->text, "exit")) {
		words = prepared(line, answer);
		if (!words)
			return 1;
		if (!strcmp(answer->text, "become"))
			return become(real, words);
		send(fd, ended, (size_t)snprintf(ended, sizeof(ended), "ended%c%d", 0, run_real(real, words, fd)), MSG_NOSIGNAL);
		if (receive(fd, answer) < 0)
			return -EPIPE;
	}
	return atoi(answer->text + sizeof("exit"));
}

int call(const struct command_line *line, const char *real)
{
	static struct answer answer;
	char self[PATH_MAX] = "", **python;
	int alone = !strcmp(*line->command, "exec"), again, fd, code;

	while ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && fd < 3)	/* a closed one of the three would be our socket */
		fcntl(fd, F_SETFD, 0);
	close(fd);
	for (again = 0;; again++) {
		alone = alone || (!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL));
		fd = alone && readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 ? asked(line, "call", real, self) : -EPERM;	/* main says who may */
		if (fd >= 0 && !receive(fd, &answer) && strcmp(answer.text, "version") && strcmp(answer.text, "error")) {
			code = served(line, real, fd, &answer);
			return code >= 0 ? code : exec_python(STEP("lost"), real, line->argv);
		}
		if (fd >= 0)
			close(fd);
		if (again)
			return exec_python(STEP("lost"), real, line->argv);
		python = python_words(STEP("main"), real, line->argv);	/* starts a server, or says what stands against it */
		code = run_real(*python, python, -1);
		if (code)
			return code;
	}
}
