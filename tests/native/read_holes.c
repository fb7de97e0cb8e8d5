/* Reads strings of this very process around holes, for AddressSanitizer: what a reader of a caller's memory may find.
 * Prints one line a case: the name, then what came of it.
 */
#include "eci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char *pages;	/* four pages, the third is a hole */

static void show(const char *name, const struct eci_text *text, const char *bytes)
{
	printf("%s error=%d null=%d length=%u first=%c\n", name, text->error, text->null, text->length, text->length ? bytes[0] : '-');
}

static void one(const char *name, const void *address, int page)
{
	char *bytes = malloc(ECI_TEXT_BYTES);	/* exactly: a byte too many is seen */
	struct eci_text text = { 0 };
	struct eci_read read = { .address = (uint64_t)(uintptr_t)address, .bytes = bytes, .text = &text, .page = page };

	eci_tracee_read((uint32_t)getpid(), &read, 1);
	show(name, &text, bytes);
	free(bytes);
}

static void three_at_once(void)
{
	static char bytes[3][ECI_TEXT_BYTES];
	struct eci_text texts[3] = { 0 };
	struct eci_read reads[3] = {
		{ .address = (uint64_t)(uintptr_t)"first", .bytes = bytes[0], .text = &texts[0] },
		{ .address = (uint64_t)(uintptr_t)(pages + 2 * 4096), .bytes = bytes[1], .text = &texts[1] },
		{ .address = (uint64_t)(uintptr_t)"third", .bytes = bytes[2], .text = &texts[2] },
	};

	eci_tracee_read((uint32_t)getpid(), reads, 3);
	for (int i = 0; i < 3; i++)
		show("three", &texts[i], bytes[i]);
}

int main(void)
{
	pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(pages, 'x', 2 * 4096);
	munmap(pages + 2 * 4096, 4096);
	one("short", "abc", 0);
	one("empty", "", 0);
	one("null", NULL, 0);
	one("one", (void *)1, 0);
	one("kernel", (void *)0xffff888000000000, 0);
	one("last-byte-of-all", (void *)UINTPTR_MAX, 0);
	one("runs-into-hole", pages + 4096 + 4000, 0);
	one("too-long", pages, 0);
	one("data-too-long", pages, 1);
	one("data-half", pages + 4096 + 2048, 1);
	one("data-hole", pages + 2 * 4096, 1);
	pages[2 * 4096 - 1] = 0;
	one("ends-before-hole", pages + 2 * 4096 - 4, 0);
	one("longest", pages + 4096, 0);
	mprotect(pages, 4096, PROT_NONE);
	one("prot-none", pages, 0);
	three_at_once();
	return 0;
}
