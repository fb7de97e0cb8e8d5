/* Writers and readers of one small ring, all at once: a reader gets a whole event or none. For ThreadSanitizer. */
#include "eci.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 16, WRITERS = 4, READERS = 2, EVENTS = 20000 };

static struct eci_ring *ring;
static _Atomic int writing = WRITERS;
static _Atomic int torn, whole;

/* Every field of an event is made of one number, so that a mixture of two shows. */
static void fill(struct eci_event *event, uint64_t number)
{
	memset(event, (int)(number & 0xff), sizeof(*event));
	event->time_ns = number;
	for (int i = 0; i < 6; i++)
		event->args[i] = number;
}

static void *write_events(void *argument)
{
	uint64_t base = (uint64_t)(uintptr_t)argument * EVENTS;
	struct eci_event event;

	for (uint64_t i = 0; i < EVENTS; i++) {
		fill(&event, base + i);
		eci_ring_push(ring, &event);
	}
	writing--;
	return NULL;
}

static void *read_events(void *argument)
{
	struct eci_event event, expected;
	uint64_t seq = 1;

	(void)argument;
	do {	/* once at least, however late it starts */
		uint64_t last = eci_ring_last(ring);

		if (seq + SLOTS < last)
			seq = last - SLOTS;
		for (; seq <= last; seq++) {
			if (eci_ring_read(ring, seq, &event) < 0)
				continue;
			fill(&expected, event.time_ns);
			if (memcmp(&event, &expected, sizeof(event)))
				torn++;
			whole++;
		}
	} while (writing);
	return NULL;
}

int main(void)
{
	pthread_t threads[WRITERS + READERS];

	ring = eci_ring_new(SLOTS, -1);
	for (uintptr_t i = 0; i < WRITERS + READERS; i++)
		pthread_create(&threads[i], NULL, i < WRITERS ? write_events : read_events, (void *)i);
	for (int i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	printf("%llu %d %d\n", (unsigned long long)eci_ring_last(ring), whole, torn);
	eci_ring_free(ring);
	return torn != 0;
}
