/* Memory that a forked process shares with its siblings again once it is as it was: see linux/pages.py.
 *
 * Some facts about private mappings (mmap(2), madvise(2), proc_pid_pagemap(5)): a page that was written is a copy of our own; after
 * MADV_DONTNEED the next access gets the file's page again. Bit 63 of a pagemap entry says that the page is there, bit 61 that it
 * is the file's and no copy.
 */
#include "eci.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BATCH 256ul
#define MOST_PAGE_BYTES 65536u
#define IS_COPY(entry) ((entry) >> 61 == 4)	/* there, not in swap, not the file's */

/* Has `length` bytes at `start` be a private mapping of fd from `at` on, with the content they have; all in whole pages. Nothing but the
 * calling thread may write there meanwhile, so the kernel must not: -EBUSY for the memory that holds the thread's own area.
 */
int eci_pages_move(int fd, uintptr_t start, size_t length, long at)
{
	if ((uintptr_t)&errno - start < length)
		return -EBUSY;
	for (size_t done = 0; done < length;) {
		ssize_t n = pwrite(fd, (char *)start + done, length - done, at + (long)done);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	if (mmap((void *)start, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, at) == MAP_FAILED)
		return -errno;
	madvise((void *)start, length, MADV_POPULATE_READ);	/* else each child has to map what it looks at; since Linux 5.14 */
	return 0;
}

static int is_as_it_was(int fd, uintptr_t page, size_t bytes, long at)
{
	char before[MOST_PAGE_BYTES];

	return pread(fd, before, bytes, at) == (ssize_t)bytes && !memcmp(before, (void *)page, bytes);
}

/* Gives back those pages of a mapping of fd that hold what the file holds; how many. */
static long give_back(int fd, int pagemap, uintptr_t start, uintptr_t end, long at)
{
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t entries[BATCH];
	long given = 0;

	for (uintptr_t page = start; page < end; page += bytes, at += (long)bytes) {
		size_t i = (page - start) / bytes % BATCH;

		if (!i && pread(pagemap, entries, sizeof(entries), (long)(page / bytes * sizeof(*entries))) <= 0)
			break;
		if (IS_COPY(entries[i]) && is_as_it_was(fd, page, bytes, at) && !madvise((void *)page, bytes, MADV_DONTNEED))
			given++;
	}
	return given;
}

/* Gives back what it can of all private mappings of fd; how many pages. What was written between the look and madvise would be lost:
 * no other thread may write to them meanwhile, and no signal handler does. What fopen and fgets write comes before a look.
 */
long eci_pages_give_back(int fd)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int high, low;
	unsigned long start, end, at, inode;
	sigset_t all, before;
	char line[512], write;
	struct stat file;
	long given = 0;

	if (!maps || pagemap < 0 || fstat(fd, &file) < 0)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*c%c%*c%*c %lx %x:%x %lu", &start, &end, &write, &at, &high, &low, &inode) == 7
		    && write == 'w' && inode == file.st_ino && makedev(high, low) == file.st_dev)
			given += give_back(fd, pagemap, start, end, (long)at);
	sigprocmask(SIG_SETMASK, &before, NULL);
	fclose(maps);
	close(pagemap);
	return given;
}
