/* Threads that call without end slow themselves and nobody else: now and then nothing of theirs is received for a while.
 *
 * Then they and the thread that serves them sleep, and what another container wants from this CPU waits for a few calls, not for the end
 * of a time slice, which is what the scheduler gives a thread that is always busy.
 */
#include "eci.h"

#include <time.h>

#define FLOOD 512u		/* calls of several threads without a break of BREAK_NS */
#define BREAK_NS 2000000u
#define REST_EVERY 16u
#define REST_NS 400000

/* After each call. One that others work for, too, counts for REST_EVERY. One thread alone waits for each answer: that is no flood. */
void eci_flood_rest(struct eci_flood *flood, const struct eci_call *call, int asked)
{
	const struct timespec rest = { .tv_nsec = REST_NS };

	if (call->received_ns - flood->previous_ns > BREAK_NS)
		flood->calls = 0;
	else if (call->tid != flood->previous_tid)
		flood->calls += asked ? REST_EVERY : 1;
	flood->previous_ns = call->received_ns;
	flood->previous_tid = call->tid;
	if (flood->calls < FLOOD + REST_EVERY)
		return;
	flood->calls -= REST_EVERY;
	nanosleep(&rest, NULL);
}
