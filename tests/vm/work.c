/* work SHARED PRIVATE SECONDS: touches so many MiB of shared and of private memory, burns SECONDS of processor time, then waits. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	for (int i = 1; i <= 2; i++) {
		size_t size = (size_t)atoi(argv[i]) << 20;
		void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (i == 1 ? MAP_SHARED : MAP_PRIVATE), -1, 0);

		if (area != MAP_FAILED)
			memset(area, 1, size);
	}
	while (clock() < atoi(argv[3]) * CLOCKS_PER_SEC)
		;
	pause();
	return 0;
}
