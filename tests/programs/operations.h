/* A program that is a row of operations, all in one process, one after the other:
 *
 *	PROGRAM OP [WORD...] [, OP [WORD...]]...
 *
 * One line an operation: its name, or all of its words, a colon, OK or the name of the errno. Status 2 ends it at one that is none.
 */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct operation {
	const char *name;
	int words;		/* at least so many behind the name */
	int (*run)(char **words);
};

static int operate_one(const struct operation *operations, size_t count, int said, char **words, int words_count)
{
	for (size_t i = 0; i < count; i++) {
		int ret, error;

		if (strcmp(operations[i].name, words[0]) || words_count - 1 < operations[i].words)
			continue;
		errno = 0;
		ret = operations[i].run(words + 1);
		error = errno;
		for (int word = 0; word < (said ? words_count : 1); word++)
			printf("%s%s", word ? " " : "", words[word]);
		printf(": %s\n", ret < 0 ? strerrorname_np(error) : "OK");
		return 0;
	}
	fprintf(stderr, "no such operation: %s, or too few words\n", words[0]);
	return 2;
}

/* What main returns. `said`: with the words of each. */
static int operate(const struct operation *operations, size_t count, int said, int argc, char **argv)
{
	int first = 1, ret;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 1; i <= argc; i++) {
		if (i < argc && strcmp(argv[i], ","))
			continue;
		argv[i] = NULL;	/* the words of an operation end with it, optional ones are it */
		if (i > first && (ret = operate_one(operations, count, said, argv + first, i - first)))
			return ret;
		first = i + 1;
	}
	return 0;
}

#endif
