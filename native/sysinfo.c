/* sysinfo(2), answered from the sample that the container's /proc/meminfo, uptime and loadavg show: one story at one time.
 *
 * The sample is Python's. A serving thread that finds it too old wakes Python, which takes a new one, and waits for it; so all that is
 * asked within a sample's life is answered here. The lock is held for a copy of some words, by whoever holds it.
 */
#include "eci.h"

#include <linux/audit.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

#define PATIENCE_NS 500000000u
#define SECOND_NS 1000000000u

struct eci_machine {
	pthread_mutex_t lock;
	pthread_cond_t renewed;
	uint32_t renewals;
	int event_fd;			/* borrowed */
	struct eci_sysinfo now;
};

/* struct sysinfo of include/uapi/linux/sysinfo.h with words of 64 and of 32 bits; memory: total, free, shared, buffers, swap, free swap */
struct wide {
	int64_t uptime;
	uint64_t loads[3], memory[6];
	uint16_t procs, pad[3];
	uint64_t high[2];
	uint32_t unit, end;
};
struct narrow {
	int32_t uptime;
	uint32_t loads[3], memory[6];
	uint16_t procs, pad;
	uint32_t high[2], unit;
	char end[8];
};
_Static_assert(sizeof(struct wide) == 112 && sizeof(struct narrow) == 64, "what the kernel writes");

/* NULL: no memory. */
struct eci_machine *eci_machine_new(int event_fd)
{
	struct eci_machine *machine = calloc(1, sizeof(*machine));

	if (!machine)
		return NULL;
	pthread_mutex_init(&machine->lock, NULL);
	pthread_cond_init(&machine->renewed, NULL);
	machine->event_fd = event_fd;
	return machine;
}

void eci_machine_free(struct eci_machine *machine)
{
	free(machine);
}

/* A new sample, or with until_ns 0 the end of the one before. */
void eci_machine_set(struct eci_machine *machine, const struct eci_sysinfo *now)
{
	pthread_mutex_lock(&machine->lock);
	if (now->until_ns) {
		machine->now = *now;
		machine->renewals++;
		pthread_cond_broadcast(&machine->renewed);
	} else {
		machine->now.until_ns = 0;
	}
	pthread_mutex_unlock(&machine->lock);
}

/* The live sample, or the next one. -ETIMEDOUT: Python did not take one. */
int eci_machine_get(struct eci_machine *machine, uint64_t now_ns, struct eci_sysinfo *info)
{
	uint64_t until_ns = now_ns + PATIENCE_NS, one = 1;
	struct timespec until = { .tv_sec = (time_t)(until_ns / SECOND_NS), .tv_nsec = (long)(until_ns % SECOND_NS) };
	int ret = 0;

	pthread_mutex_lock(&machine->lock);
	if (now_ns >= machine->now.until_ns) {
		uint32_t seen = machine->renewals;

		if (write(machine->event_fd, &one, sizeof(one)) < 0)
			ret = 0;	/* EAGAIN: Python has been told already */
		while (machine->renewals == seen && ret == 0)
			ret = pthread_cond_clockwait(&machine->renewed, &machine->lock, CLOCK_MONOTONIC, &until);
	}
	*info = machine->now;
	pthread_mutex_unlock(&machine->lock);
	return -ret;
}

static int put(uint32_t tid, uint64_t address, void *bytes, size_t length)
{
	struct iovec local = { bytes, length }, remote = { (void *)(uintptr_t)address, length };

	return process_vm_writev((pid_t)tid, &local, 1, &remote, 1, 0) == (ssize_t)length ? 0 : -EFAULT;
}

/* As compat_sys_sysinfo() of kernel/sys.c has it: once a total does not fit, sizes are in pages. */
static int put_narrow(uint32_t tid, uint64_t address, const struct eci_sysinfo *info)
{
	unsigned int shift = (info->memory[0] | info->memory[4]) >> 32 ? (unsigned int)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE)) : 0;
	struct narrow now = { .uptime = (int32_t)info->uptime_s, .procs = info->procs, .unit = 1u << shift };

	for (int i = 0; i < 3; i++)
		now.loads[i] = (uint32_t)info->loads[i];
	for (int i = 0; i < 6; i++)
		now.memory[i] = (uint32_t)(info->memory[i] >> shift);
	return put(tid, address, &now, sizeof(now));
}

/* Writes what the ABI has to thread `tid`, which is to be known to be the caller still. -EFAULT. */
int eci_sysinfo_put(uint32_t tid, uint32_t arch, uint64_t address, const struct eci_sysinfo *info)
{
	struct wide now = { .uptime = (int64_t)info->uptime_s, .procs = info->procs, .unit = 1 };

	if (!(arch & __AUDIT_ARCH_64BIT))
		return put_narrow(tid, address, info);
	for (int i = 0; i < 3; i++)
		now.loads[i] = info->loads[i];
	for (int i = 0; i < 6; i++)
		now.memory[i] = info->memory[i];
	return put(tid, address, &now, sizeof(now));
}
