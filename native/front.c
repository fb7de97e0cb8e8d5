/* eci-runc: what engines call in place of runc or crun.
 *
 * Engines call a runtime some ten times in a container's life, and only create, run and exec need thought. So this program, static and
 * without an interpreter, finds the command; hands everything else to the real runtime by execv, argv unchanged but for our own global
 * options; and carries out the others:
 *
 *   create, run, exec          call.c: a process of the fork server's thinks, we run the real runtime
 *   delete                     the real delete as a child, then one packet to the fork server, which reads our command line and gives back
 *                              what the container had
 *   --eci-hook SOCKET          the createRuntime hook of a create: the OCI state from stdin to the supervisor's control socket
 *
 * checkpoint, restore, a missing real runtime and a command line in doubt go to Python, which refuses them in the engine's log; it also
 * starts the fork server where there is none.
 * Nothing here trusts a container: it reads its arguments, an engine's OCI state, and answers of our own processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOOK_TIMEOUT_S 25	/* less than the timeout of the hook itself, so that the sentence is ours */
#define STATE_LIMIT (1 << 20)	/* an OCI state holds annotations, which users choose */

/* Global options of runc and crun, and ours, which the real runtime must not see. A value may stand in the next word. */
static const struct option {
	const char *name;
	int valued, ours;
} OPTIONS[] = {
	{ "root", 1, 0 }, { "log", 1, 0 }, { "log-format", 1, 0 }, { "criu", 1, 0 }, { "rootless", 1, 0 }, { "cgroup-manager", 1, 0 },
	{ "mode", 1, 1 }, { "real-runtime", 1, 1 }, { "state-dir", 1, 1 }, { "audit-dir", 1, 1 }, { "settings", 1, 1 },
	{ "debug", 0, 0 }, { "systemd-cgroup", 0, 0 }, { "version", 0, 0 }, { "help", 0, 0 }, { "v", 0, 0 }, { "h", 0, 0 }, { "V", 0, 0 },
};

/* What must not reach the real runtime as it is; the first of them are calls that can be carried out. */
static const char *const OUR_COMMANDS[] = { "create", "run", "exec", "checkpoint", "restore" };
#define CALLS 3

static const struct option *known(const char *name)
{
	size_t i, length = strcspn(name, "=");

	for (i = 0; i < sizeof(OPTIONS) / sizeof(*OPTIONS); i++)
		if (strlen(OPTIONS[i].name) == length && !strncmp(OPTIONS[i].name, name, length))
			return &OPTIONS[i];
	return NULL;
}

/* Splits argv at the command. Both `--x=v` and `--x v` occur, and Go's parser takes one dash for two. */
static void parse(struct command_line *line, char **argv)
{
	char **word, **out = line->passed + 1;

	line->argv = argv;
	line->state_dir = "/run/eci";
	for (word = argv + !!*argv; *word && **word == '-'; word++) {
		const char *name = *word + 1 + ((*word)[1] == '-'), *equals = strchr(name, '=');
		const struct option *option = known(name);
		int apart = option && option->valued && !equals && word[1];
		const char *value = equals ? equals + 1 : apart ? word[1] : "";

		if (!option)
			line->doubtful |= !equals;
		else if (!strcmp(option->name, "root"))
			line->root = value;
		else if (!strcmp(option->name, "state-dir"))
			line->state_dir = value;
		else if (!strcmp(option->name, "real-runtime"))
			line->real = value;
		if (!option || !option->ours) {
			*out++ = *word;
			if (apart)
				*out++ = word[1];
		}
		word += apart;
	}
	line->command = word;
	line->before = (size_t)(out - line->passed);
	while ((*out++ = *word++))
		;
}

static int is_command(const char *word, size_t count)
{
	while (word && count--)
		if (!strcmp(word, OUR_COMMANDS[count]))
			return 1;
	return 0;
}

/* Whether Python has to refuse it. Behind an option that we do not know, what looks like the command may be that option's value:
 * then one word that could make an unconfined process keeps the line from the real runtime.
 */
static int is_refused(const struct command_line *line)
{
	for (char **word = line->command; *word; word++) {
		if (is_command(*word, sizeof(OUR_COMMANDS) / sizeof(*OUR_COMMANDS)))
			return 1;
		if (!line->doubtful)
			return 0;
	}
	return 0;
}

/* The real runtime's absolute path in `found`: --real-runtime, else the first of runc and crun in PATH that is not ourselves. */
static int find_in_path(const char *name, char found[PATH_MAX])
{
	const char *path = getenv("PATH"), *end;
	struct stat ours, theirs;

	if (*name == '/')
		return snprintf(found, PATH_MAX, "%s", name) < PATH_MAX && !access(found, X_OK) ? 0 : -ENOENT;
	if (stat("/proc/self/exe", &ours) < 0)
		return -errno;
	for (path = path && *path ? path : DEFAULT_PATH; path; path = *end ? end + 1 : NULL) {
		end = strchrnul(path, ':');
		if (*path != '/' || snprintf(found, PATH_MAX, "%.*s/%s", (int)(end - path), path, name) >= PATH_MAX)
			continue;
		if (!access(found, X_OK) && !stat(found, &theirs) && S_ISREG(theirs.st_mode) &&
		    (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev))
			return 0;
	}
	return -ENOENT;
}

/* The interpreter of an environment whose directory is `base`/`below`; pyvenv.cfg tells an environment from any other bin/. */
static int environment_python(const char *base, const char *below, char python[PATH_MAX])
{
	if (snprintf(python, PATH_MAX, "%s/%s/pyvenv.cfg", base, below) >= PATH_MAX || access(python, R_OK) < 0)
		return 0;
	return snprintf(python, PATH_MAX, "%s/%s/bin/python3", base, below) < PATH_MAX && !access(python, X_OK);
}

/* Where the interpreter is, looked for
 *   1. beside the name we were called by and beside each link it leads through: VENV/bin/eci-runc is a link in an editable install,
 *   2. for the file itself, eci_supervisor/bin/eci-runc: a .venv beside the package, else the environment whose site-packages it is in,
 *   3. beside the file without an environment: a system-wide install.
 * The name is the kernel's (AT_EXECFN): argv[0] is the caller's to choose.
 */
static int find_python(const char *self, char python[PATH_MAX])
{
	char name[PATH_MAX], link[PATH_MAX], directory[PATH_MAX];
	ssize_t length;

	snprintf(name, sizeof(name), "%s", (const char *)getauxval(AT_EXECFN));
	for (int depth = 0; depth < 16; depth++) {
		snprintf(directory, sizeof(directory), "%s", name);
		dirname(directory);
		if (environment_python(directory, "..", python))
			return 0;
		length = readlink(name, link, sizeof(link) - 1);
		if (length < 0)
			break;
		link[length] = '\0';
		if (snprintf(name, sizeof(name), "%s%s%s", *link == '/' ? "" : directory, *link == '/' ? "" : "/", link) >= (int)sizeof(name))
			return -ENAMETOOLONG;
	}
	snprintf(directory, sizeof(directory), "%s", self);
	dirname(directory);
	if (environment_python(directory, "../../.venv", python) || environment_python(directory, "../../../../..", python))
		return 0;
	return snprintf(python, PATH_MAX, "%s/python3", directory) < PATH_MAX && !access(python, X_OK) ? 0 : -ENOENT;
}

char **python_words(const char *code, const char *real, char **words)
{
	static char self[PATH_MAX], python[PATH_MAX];
	size_t count = 0;
	char **argv;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || find_python(self, python) < 0) {
		fprintf(stderr, "eci-runc: no python3 beside %s: install the package eci-supervisor into a virtual environment\n", self);
		exit(1);
	}
	while (words[count])
		count++;
	argv = calloc(count + 7, sizeof(*argv));
	if (!argv)
		exit(1);
	memcpy(argv, (char *[]){ python, "-I", "-c", (char *)code, self, (char *)real }, 6 * sizeof(*argv));
	memcpy(argv + 6, words, count * sizeof(*argv));
	return argv;
}

int become(const char *program, char **argv)
{
	execv(program, argv);
	fprintf(stderr, "eci-runc: %s: %s\n", program, strerror(errno));
	return 127;
}

int exec_python(const char *code, const char *real, char **words)
{
	char **argv = python_words(code, real, words);

	return become(*argv, argv);
}

/* The real delete, then ours: the fork server gives back what the container had, or Python. */
static int delete(const struct command_line *line, const char *real)
{
	char path[PATH_MAX], number[16], answer[16], step[128];
	int code = run_real(real, line->passed, -1), fd;

	snprintf(path, sizeof(path), "%s/c", line->state_dir);
	if (access(path, F_OK) < 0)
		return code;		/* no container was ever made here */
	snprintf(number, sizeof(number), "%d", code);
	fd = asked(line, "deleted", real, number);
	if (fd >= 0 && recv(fd, answer, sizeof(answer), 0) >= 2 && !strncmp(answer, "ok", 2))
		return code;
	snprintf(step, sizeof(step), "from eci_supervisor.oci.shim import reclaim; reclaim(%d)", code);
	return exec_python(step, real, line->argv);
}

static int hook_failed(const char *socket_path, const char *sentence)
{
	char path[PATH_MAX];

	fprintf(stderr, "%s\n", sentence);
	/* crun does not hand on what a hook says, so create reads it here. */
	snprintf(path, sizeof(path), "%.*s/hook.error", (int)(strrchr(socket_path, '/') - socket_path), socket_path);
	dprintf(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), "%s\n", sentence);
	return 1;
}

/* One request line out of the state on stdin, one answer line. The create waits in the runtime until we end. */
static int hook(const char *socket_path)
{
	static const char OK[] = "{\"v\":1,\"ok\":true", FAILED[] = "{\"v\":1,\"ok\":false,\"error\":\"";
	static const char HEAD[] = "{\"v\":1,\"do\":\"attach\",\"state\":", TAIL[] = "}\n";
	static char text[sizeof(HEAD) + STATE_LIMIT + sizeof(TAIL)], answer[65536];
	size_t length = sizeof(HEAD) - 1, i, got = 0;
	ssize_t part;
	int fd;

	memcpy(text, HEAD, length);
	while ((part = read(0, text + length, sizeof(HEAD) + STATE_LIMIT - length)) > 0)
		length += (size_t)part;
	for (i = 0; i < length; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	memcpy(text + length, TAIL, sizeof(TAIL) - 1);
	length += sizeof(TAIL) - 1;
	fd = connected(socket_path, SOCK_STREAM, HOOK_TIMEOUT_S);
	if (part < 0 || fd < 0 || send(fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
		return hook_failed(socket_path, "the supervisor does not take the container: it ended");
	while (got < sizeof(answer) - 1 && !memchr(answer, '\n', got)) {
		part = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);
		if (part <= 0)
			return hook_failed(socket_path, part ? "the supervisor does not answer" : "the supervisor ended");
		got += (size_t)part;
	}
	answer[got] = '\0';
	if (!strncmp(answer, OK, sizeof(OK) - 1))
		return 0;
	if (strncmp(answer, FAILED, sizeof(FAILED) - 1) || got < sizeof(FAILED) + 3)
		return hook_failed(socket_path, "the supervisor's answer is none");
	answer[got - 3] = '\0';		/* "}\n */
	return hook_failed(socket_path, answer + sizeof(FAILED) - 1);
}

int main(int argc, char **argv)
{
	struct command_line line = { 0 };
	char real[PATH_MAX];

	if (argc == 3 && !strcmp(argv[1], "--eci-hook") && strchr(argv[2], '/'))
		return hook(argv[2]);
	line.passed = calloc((size_t)argc + 1, sizeof(char *));
	if (!line.passed)
		return 1;
	parse(&line, argv);
	if (line.real ? find_in_path(line.real, real) : find_in_path("runc", real) && find_in_path("crun", real))
		return exec_python(STEP("main"), "", argv);
	line.passed[0] = real;
	if (is_command(*line.command, CALLS))
		return call(&line, real);
	if (is_refused(&line))
		return exec_python(STEP("main"), real, argv);
	if (*line.command && !strcmp(*line.command, "delete"))
		return delete(&line, real);
	return become(real, line.passed);
}
