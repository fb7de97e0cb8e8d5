/* What linux/pages.py cannot do in Python, which would write to those very pages: it says what for, and why nobody else writes to them.
 * All in whole pages.
 */
#include "eci.h"

#include <string.h>
#include <sys/mman.h>

/* Has `length` bytes at `start` be a private mapping of fd from `at` on, with the content they have. */
int eci_pages_move(int fd, uintptr_t start, size_t length, long at)
{
	if (pwrite(fd, (void *)start, length, at) != (ssize_t)length)
		return -EIO;
	if (mmap((void *)start, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, at) == MAP_FAILED)
		return -errno;
	madvise((void *)start, length, MADV_POPULATE_READ);	/* else each child has to map what it looks at; since Linux 5.14 */
	return 0;
}

/* Drops our copy of a page of such a mapping, if it holds what fd holds at `at`; whether it did. */
int eci_page_give_back(int fd, uintptr_t page, size_t bytes, long at)
{
	char before[65536];	/* the largest page there is */

	return pread(fd, before, bytes, at) == (ssize_t)bytes && !memcmp(before, (void *)page, bytes)
	       && !madvise((void *)page, bytes, MADV_DONTNEED);
}
