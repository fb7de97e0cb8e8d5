/* What the two halves of eci-runc share: front.c finds the command, call.c carries out what needs the fork server or the real runtime. */
#ifndef ECI_FRONT_H
#define ECI_FRONT_H

#include <sys/types.h>

#define STEP(function) "from eci_supervisor.oci.shim import " function "; " function "()"

struct command_line {
	char **argv;		/* as we got it */
	char **passed;		/* what the real runtime gets */
	char **command;		/* in argv; its end if there is none */
	size_t before;		/* the words of `passed` before the command */
	int doubtful;		/* an option that we do not know stands before the command */
	const char *real, *state_dir, *root;
};

/* front.c: argv for one of the shim's functions: SELF REAL words…; REAL is "" where none was found. Ends us if there is no Python. */
char **python_words(const char *code, const char *real, char **words);

/* front.c: in place of us; they return, an exit code, only if that fails. */
int become(const char *program, char **argv);
int exec_python(const char *code, const char *real, char **words);

/* call.c: a connection to a socket of type SOCK_*; no call on it takes longer than `timeout_s`, 0: none has a limit. -errno */
int connected(const char *path, int type, time_t timeout_s);

/* call.c: asks the fork server, `more` being the last field of the packet. A `call` goes with our descriptors 0 to 2; all else is to be
 * answered soon. The connection, or -errno.
 */
int asked(const struct command_line *line, const char *what, const char *real, const char *more);

/* call.c: runs the real runtime to its end; signals sent to us are its. Returns its exit code as a shell would. It is killed when
 * something comes from `creator`, or it hangs up; -1: nobody is asked.
 */
int run_real(const char *real, char **argv, int creator);

/* call.c: create, run or exec. Returns the exit code. */
int call(const struct command_line *line, const char *real);

#endif
