/* Calls on their way from one serving thread to Python: one writer, one reader, no locks.
 *
 * Slots are taken lowest first, and the order is kept apart: a container that asks now and then has few pages touched for ever,
 * whatever the queue could hold. A slot is the writer's from `room` until it stands in `order`, then the reader's until it is back in `room`.
 */
#include "eci.h"

#include <string.h>
#include <sys/mman.h>

#define KEPT_SLOTS 4u	/* whose memory is kept between calls */
#define PAGE_MASK 4095ul

/* A call is 17 kB; what is copied is what its strings are long. */
static void copy_call(struct eci_call *to, const struct eci_call *from)
{
	memcpy(to, from, offsetof(struct eci_call, bytes));
	for (uint32_t i = 0; i < from->text_count; i++)
		memcpy(to->bytes[i], from->bytes[i], from->texts[i].length);
}

int eci_queue_open(struct eci_queue *queue)
{
	void *slots = mmap(NULL, ECI_QUEUE * sizeof(*queue->slots), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (slots == MAP_FAILED)
		return -errno;
	queue->slots = slots;
	atomic_init(&queue->room, ~0ull);	/* head and tail are 0, as all of a server's memory */
	return 0;
}

void eci_queue_close(struct eci_queue *queue)
{
	munmap(queue->slots, ECI_QUEUE * sizeof(*queue->slots));
}

/* -EAGAIN: full. */
int eci_queue_put(struct eci_queue *queue, const struct eci_call *call)
{
	uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	uint64_t room = atomic_load(&queue->room);
	unsigned int slot;

	if (!room)
		return -EAGAIN;
	slot = (unsigned int)__builtin_ctzll(room);
	copy_call(&queue->slots[slot], call);
	atomic_fetch_and(&queue->room, ~(1ull << slot));
	queue->order[tail % ECI_QUEUE] = (uint8_t)slot;
	atomic_store(&queue->tail, tail + 1);
	return 0;
}

/* A burst is over some time, and its memory shall be too: the pages that are this slot's alone. */
static void give_back(struct eci_call *slot)
{
	uintptr_t start = ((uintptr_t)slot + PAGE_MASK) & ~PAGE_MASK, end = (uintptr_t)(slot + 1) & ~PAGE_MASK;

	madvise((void *)start, end - start, MADV_DONTNEED);
}

/* The oldest call; 0 if there is none. */
int eci_queue_take(struct eci_queue *queue, struct eci_call *call)
{
	uint32_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	unsigned int slot;

	if (head == atomic_load(&queue->tail))
		return 0;
	slot = queue->order[head % ECI_QUEUE];
	copy_call(call, &queue->slots[slot]);
	if (slot >= KEPT_SLOTS)
		give_back(&queue->slots[slot]);
	atomic_store(&queue->head, head + 1);
	atomic_fetch_or(&queue->room, 1ull << slot);
	return 1;
}
