/* The queue of a serving thread: one writer, one reader, nothing lost, nothing twice, in order. For ThreadSanitizer. */
#include "eci.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { CALLS = 50000 };

static struct eci_queue queue;

static void *put_calls(void *argument)
{
	static struct eci_call call;

	(void)argument;
	for (uint64_t id = 1; id <= CALLS; id++) {
		call.id = id;
		call.text_count = 1;
		call.texts[0].length = (uint32_t)snprintf(call.bytes[0], sizeof(call.bytes[0]), "%llu", (unsigned long long)id);
		while (eci_queue_put(&queue, &call) < 0)
			sched_yield();
	}
	return NULL;
}

int main(void)
{
	static struct eci_call call;
	pthread_t writer;
	char expected[32];

	if (eci_queue_open(&queue) < 0)
		return 2;
	pthread_create(&writer, NULL, put_calls, NULL);
	for (uint64_t id = 1; id <= CALLS;) {
		if (!eci_queue_take(&queue, &call)) {
			sched_yield();
			continue;
		}
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)id);
		if (call.id != id++ || call.texts[0].length != strlen(expected) || memcmp(call.bytes[0], expected, strlen(expected)))
			return 1;
	}
	pthread_join(writer, NULL);
	eci_queue_close(&queue);
	puts("in order");
	return 0;
}
