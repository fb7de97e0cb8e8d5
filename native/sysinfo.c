/* sysinfo(2), answered from the sample that the container's /proc/meminfo, uptime and loadavg show: one story at one time.
 *
 * The sample is Python's, laid out as the kernel would write it. A serving thread that finds it too old wakes Python, which takes a new
 * one, and waits for it; so all that is asked within a sample's life is answered here.
 */
#include "eci.h"

#include <linux/audit.h>
#include <sys/uio.h>
#include <time.h>

#define STEP_NS 200000
#define STEPS 2500	/* half a second in all */

/* The lock is held for the copy of some words, by whoever holds it. */
static void copy(struct eci_machine *machine, struct eci_sysinfo *to, const struct eci_sysinfo *from)
{
	while (__atomic_exchange_n(&machine->locked, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	*to = *from;
	__atomic_store_n(&machine->locked, 0, __ATOMIC_RELEASE);
}

void eci_machine_set(struct eci_machine *machine, const struct eci_sysinfo *now)
{
	copy(machine, &machine->now, now);
}

/* The live sample, or the next one. -EIO: Python did not take one. */
int eci_machine_get(struct eci_machine *machine, uint64_t now_ns, struct eci_sysinfo *info)
{
	const struct timespec step = { .tv_nsec = STEP_NS };
	uint64_t one = 1, seen;

	copy(machine, info, &machine->now);
	if (now_ns < info->until_ns)
		return 0;
	seen = info->number;
	if (write(machine->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return -EIO;
	for (int i = 0; i < STEPS && info->number == seen; i++) {
		nanosleep(&step, NULL);
		copy(machine, info, &machine->now);
	}
	return info->number == seen ? -EIO : 0;
}

/* Writes it to thread `tid`, which is to be known to be the caller still. -EFAULT. */
int eci_sysinfo_put(uint32_t tid, uint32_t arch, uint64_t address, struct eci_sysinfo *info)
{
	size_t length = arch & __AUDIT_ARCH_64BIT ? sizeof(info->wide) : sizeof(info->narrow);
	struct iovec local = { arch & __AUDIT_ARCH_64BIT ? info->wide : info->narrow, length };
	struct iovec remote = { (void *)(uintptr_t)address, length };

	return process_vm_writev((pid_t)tid, &local, 1, &remote, 1, 0) == (ssize_t)length ? 0 : -EFAULT;
}
