/* Which row of the policy a call fits: registers only, nothing is read or written here. */
#include "eci.h"

#include <string.h>

#define MGC_MASK 0xffff0000u	/* of the low word, as path_mount() of fs/namespace.c has it */
#define MGC_VALUE 0xc0ed0000u

/* The flags of mount(2) as the kernel sees them: if the upper half of the low word is exactly MS_MGC_VAL,
 * everything above bit 15 is dropped, bits 32 to 63 too (the kernel's mask is a 32-bit number).
 */
uint64_t eci_mount_flags(uint64_t flags)
{
	if ((flags & MGC_MASK) == MGC_VALUE)
		return flags & 0xffff;
	return flags;
}

static uint64_t tested_register(const struct eci_row *row, uint64_t value)
{
	return row->reg == ECI_INT ? (uint32_t)value : row->reg == ECI_MOUNT_FLAGS ? eci_mount_flags(value) : value;
}

int eci_policy_next(const struct eci_policy *policy, uint32_t from, uint32_t arch, int32_t nr, const uint64_t *args)
{
	for (uint32_t i = from; i < policy->count; i++) {
		const struct eci_row *row = &policy->rows[i];

		if (row->nr == nr && row->arch == arch && (tested_register(row, args[row->arg]) & row->mask) == row->value)
			return (int)i;
	}
	return -1;
}

/* Whether the string, as it was copied, is one of the row's names. A string that could not be read is none: the
 * kernel reads it again, and gives the errno for it, under the row that follows.
 */
int eci_row_named(const struct eci_row *row, const struct eci_text *text, const char *bytes)
{
	if (text->error || text->null)
		return 0;
	for (unsigned int i = 0; i < 2; i++) {
		size_t length = strnlen(row->names[i], sizeof(row->names[i]));

		if (length && length == text->length && !memcmp(row->names[i], bytes, length))
			return 1;
	}
	return 0;
}
