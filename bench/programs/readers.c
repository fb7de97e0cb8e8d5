/* readers NUMBER SECONDS PATH: so many processes open, read and close a file in a loop, for so long. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static char text[65536];
	double end;
	int status, failed = 0;

	if (argc != 4)
		return 2;
	end = now() + atof(argv[2]);
	for (int i = atoi(argv[1]); i > 0; i--) {
		if (fork())
			continue;
		while (now() < end) {
			int fd = open(argv[3], O_RDONLY);

			if (read(fd, text, sizeof(text)) <= 0)
				_exit(1);
			close(fd);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
