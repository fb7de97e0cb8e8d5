/* A caller and its strings: bounded, each byte once, nothing believed that was not copied.
 *
 * process_vm_readv stops at the first page it cannot read, and a string may end right before one. So every piece ends with
 * its page: a hole only shortens what comes. One call reads the first piece of all strings, which is nearly always all.
 */
#include "eci.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FIRST_PIECE 256u
#define PAGE 4096u	/* of a caller: x86, and the smallest of arm64; a larger page is read in more pieces */

/* Effective uid as TID of a procfs shows it; UINT32_MAX: gone. */
uint32_t eci_caller_uid(int procfs, uint32_t tid)
{
	char path[sizeof("4294967295")];
	struct stat status;

	snprintf(path, sizeof(path), "%u", tid);
	return fstatat(procfs, path, &status, 0) < 0 ? UINT32_MAX : status.st_uid;
}

/* Up to the end of the page. Of a string a little at first: nearly all are short. */
static size_t piece(const struct eci_read *read)
{
	size_t page = PAGE - ((read->address + read->done) & (PAGE - 1));
	size_t room = read->size || read->page || read->done ? (read->size ? read->size : ECI_TEXT_BYTES) - read->done : FIRST_PIECE;

	return page < room ? page : room;
}

/* `count` more bytes have come. */
static void grown(struct eci_read *read, size_t count)
{
	const char *start = read->bytes + read->done;
	const char *nul = read->size ? NULL : memchr(start, 0, count);

	if (nul) {
		read->text->length = (uint32_t)(nul - read->bytes);
		read->ended = 1;
		return;
	}
	read->done += (uint32_t)count;
	read->text->length = read->done;
	if (read->done < (read->size ? read->size : ECI_TEXT_BYTES))
		return;
	read->ended = 1;
	if (read->size)
		return;
	if (read->page)
		read->text->length--;	/* the kernel puts a NUL there: copy_mount_options() */
	else
		read->text->error = ENAMETOOLONG;
}

/* The next byte cannot be read. */
static void cut(struct eci_read *read)
{
	if (read->ended)
		return;
	read->ended = 1;
	if (!read->page || !read->done)
		read->text->error = EFAULT;
}

/* One process_vm_readv for the next piece of each string that goes on; 0 if there is none. */
static int read_pieces(uint32_t tid, struct eci_read *reads, unsigned int count)
{
	struct iovec local[ECI_TEXTS], remote[ECI_TEXTS];
	struct eci_read *open[ECI_TEXTS];
	unsigned int n = 0;
	ssize_t got;

	for (unsigned int i = 0; i < count; i++) {
		struct eci_read *read = &reads[i];

		if (read->ended)
			continue;
		local[n].iov_base = read->bytes + read->done;
		remote[n].iov_base = (void *)(uintptr_t)(read->address + read->done);
		local[n].iov_len = remote[n].iov_len = piece(read);
		open[n++] = read;
	}
	if (!n)
		return 0;
	got = process_vm_readv((pid_t)tid, local, n, remote, n, 0);
	for (unsigned int i = 0; i < n; i++) {
		size_t length = local[i].iov_len;

		if (got < (ssize_t)length) {
			if (got > 0)
				grown(open[i], (size_t)got);
			cut(open[i]);	/* those behind it are tried again without it */
			return 1;
		}
		grown(open[i], length);
		got -= (ssize_t)length;
	}
	return 1;
}

/* Reads `count` (at most ECI_TEXTS) strings of thread `tid`. Each pass ends a string or takes it a page on, so they are few. */
void eci_tracee_read(uint32_t tid, struct eci_read *reads, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct eci_read *read = &reads[i];

		read->text->error = 0;
		read->text->length = 0;
		read->text->null = read->address == 0;
		read->ended = read->text->null;
		read->done = 0;
	}
	while (read_pieces(tid, reads, count))
		;
}
