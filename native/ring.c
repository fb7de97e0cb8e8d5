/* The events of a container: many serving threads write, nobody waits, the oldest are overwritten.
 *
 * A slot is a seqlock. Ticket t (from 1 on) belongs to slot t % slots; its sequence number is 2t - 1 while it is written and 2t
 * when it is complete. A writer that finds its slot taken by a slower one, or already newer, drops its event: readers see
 * the gap in the sequence, and that is the count of what was lost. The words are stored with release and loaded with acquire,
 * so that neither side needs a fence (and ThreadSanitizer can follow).
 */
#include "eci.h"

#include <string.h>
#include <sys/mman.h>

#define WORDS (sizeof(struct eci_event) / sizeof(uint64_t))

struct slot {
	_Atomic uint64_t seq;
	_Atomic uint64_t words[WORDS];
};

struct eci_ring {
	_Atomic uint64_t last;		/* the newest ticket */
	_Atomic int armed;		/* a reader waits */
	int event_fd;			/* borrowed */
	uint32_t slots;
	struct slot slot[];
};

static size_t ring_bytes(uint32_t slots)
{
	return sizeof(struct eci_ring) + slots * sizeof(struct slot);
}

/* NULL: no memory, or no slots. Pages that no event has reached cost nothing. */
struct eci_ring *eci_ring_new(uint32_t slots, int event_fd)
{
	struct eci_ring *ring;

	if (!slots)
		return NULL;
	ring = mmap(NULL, ring_bytes(slots), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED)
		return NULL;
	ring->event_fd = event_fd;
	ring->slots = slots;
	return ring;
}

void eci_ring_free(struct eci_ring *ring)
{
	munmap(ring, ring_bytes(ring->slots));
}

uint64_t eci_ring_last(const struct eci_ring *ring)
{
	return atomic_load(&ring->last);
}

/* Asks for one write to the eventfd. To be followed by a look at eci_ring_last: an event between the two would not wake. */
void eci_ring_arm(struct eci_ring *ring)
{
	atomic_store(&ring->armed, 1);
}

static void wake(struct eci_ring *ring)
{
	uint64_t one = 1;

	if (atomic_load(&ring->armed) && atomic_exchange(&ring->armed, 0) && write(ring->event_fd, &one, sizeof(one)) < 0)
		return;	/* EAGAIN: the counter is full, so the reader is awake */
}

/* The event's sequence number, from 1 on; it has one even where it was dropped. */
uint64_t eci_ring_push(struct eci_ring *ring, const struct eci_event *event)
{
	uint64_t ticket = atomic_fetch_add(&ring->last, 1) + 1;
	struct slot *slot = &ring->slot[ticket % ring->slots];
	uint64_t seq = atomic_load(&slot->seq);
	uint64_t words[WORDS];

	if ((seq & 1) || seq > 2 * ticket || !atomic_compare_exchange_strong(&slot->seq, &seq, 2 * ticket - 1))
		return ticket;
	memcpy(words, event, sizeof(words));
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
	atomic_store_explicit(&slot->seq, 2 * ticket, memory_order_release);
	wake(ring);
	return ticket;
}

/* 0, or -ENOENT: not complete yet, dropped, or overwritten. */
int eci_ring_read(const struct eci_ring *ring, uint64_t seq, struct eci_event *event)
{
	const struct slot *slot = &ring->slot[seq % ring->slots];
	uint64_t words[WORDS];

	if (!seq || atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * seq)
		return -ENOENT;
	for (size_t i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
	if (atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * seq)
		return -ENOENT;
	memcpy(event, words, sizeof(words));
	return 0;
}

/* Only what was copied is told; what does not fit is cut. */
void eci_tell_texts(const struct eci_call *call, struct eci_event *event)
{
	size_t used = 0;

	for (uint32_t i = 0; i < call->text_count && used + 2 < sizeof(event->text); i++) {
		const struct eci_text *text = &call->texts[i];
		size_t length = text->length, left = sizeof(event->text) - used - 2;

		if (text->null || text->error == EFAULT)
			continue;
		if (length > left)
			length = left;
		event->text[used++] = (char)('0' + text->arg);
		memcpy(event->text + used, call->bytes[i], length);
		used += length + 1;
	}
}
