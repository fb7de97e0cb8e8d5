/* One notification after another through the serving thread's code, as a container could make them: decode, rules, copies, answer or queue.
 *
 * The input is the container: a policy is loaded from the file that $ECI_POLICY names (struct eci_policy, as Python compiled it); then each
 * call takes its ABI, number and registers from the input, and what it points to is memory of this process with holes, whose content the
 * input is. Only the listener is not there: its ioctl is ours, and counts.
 *
 * What must hold, beside what the sanitizers see: each call is answered once, or handed on once, never both, never neither; it goes on only
 * by a row that says so; what was copied has its bounds.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

static int fake_ioctl(int fd, unsigned long request, ...);
#define ioctl fake_ioctl
#include "serve.c"
#include "tracee.c"
#include "notify.c"
#undef ioctl

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES = 8, CALL_BYTES = 64, MOST_CALLS = 32, RING_SLOTS = 16 };

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "broken: %s\n", #what); abort(); } } while (0)

static struct eci_policy policy;
static struct eci_server server;
static struct eci_machine sample;
static uint8_t *memory;		/* PAGES pages: some are holes */
static int answers, continued, valid = 1;
static long last_error;

/* The kernel's side: an id is asked for, or answered. */
static int fake_ioctl(int fd, unsigned long request, ...)
{
	const struct seccomp_notif_resp *answer;
	va_list list;

	(void)fd;
	va_start(list, request);
	answer = va_arg(list, const struct seccomp_notif_resp *);
	va_end(list);
	if (!valid) {
		errno = ENOENT;
		return -1;
	}
	if (request == SECCOMP_IOCTL_NOTIF_SEND) {
		answers++;
		continued = (answer->flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE) != 0;
		last_error = -answer->error;
		CHECK(!continued || !answer->error);
		CHECK(answer->error <= 0 && answer->error > -4096);
	}
	return 0;
}

static void start(void)
{
	const char *path = getenv("ECI_POLICY");
	FILE *file = path ? fopen(path, "rb") : NULL;

	if (!file || fread(&policy, sizeof(policy), 1, file) != 1)
		exit(77);
	fclose(file);
	memory = mmap((void *)0x10000000, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(memory != MAP_FAILED);
	server.policy = &policy;
	server.notify_fd = -1;
	server.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	server.ring = eci_ring_new(RING_SLOTS, server.event_fd);
	server.machine = &sample;
	sample.event_fd = server.event_fd;
	sample.now.until_ns = UINT64_MAX;
	memset(sample.now.wide, 'w', sizeof(sample.now.wide));
	CHECK(eci_queue_open(&server.queue) == 0 && eci_lane_open(&server.lane, NULL) == 0 && server.ring);
}

/* A register: mostly what it says, or an address within the memory, or flags that mean something. */
static uint64_t reg(uint8_t kind, uint64_t word)
{
	static const uint64_t flags[] = { 0, 0x20, 0x1000, 0x1020, 0x2000, 0x4000, 1 << 17, 0xC0ED0000, 0xC0ED0021, 1u << 31, 2, 4 };

	switch (kind % 4) {
	case 0:
		return word;
	case 1:
		return (uint64_t)(uintptr_t)memory + word % (PAGES * 4096);
	case 2:
		return flags[word % (sizeof(flags) / sizeof(*flags))];
	default:
		return (uint64_t)(uintptr_t)memory + (word % PAGES + 1) * 4096 - 1 - word % 16;
	}
}

static void copied_within_bounds(const struct eci_call *call)
{
	CHECK(call->text_count <= ECI_TEXTS);
	for (uint32_t i = 0; i < call->text_count; i++) {
		const struct eci_text *text = &call->texts[i];

		CHECK(text->length <= ECI_TEXT_BYTES && text->arg >= 0 && text->arg < 6);
		CHECK(!text->error || text->error == EFAULT || text->error == ENAMETOOLONG);
		CHECK(!text->null == (call->args[text->arg] != 0));
	}
}

static void one_call(const uint8_t *in)
{
	static struct eci_call taken;
	const struct eci_row *row = &policy.rows[in[1] % policy.count];
	struct seccomp_notif notification = { .id = 7, .pid = (uint32_t)getpid() };
	int queued;

	/* An ABI and a number that have a rule, or whatever comes. */
	notification.data.arch = in[0] & 1 ? row->arch : (uint32_t)in[2] * 0x01010101u;
	notification.data.nr = in[0] & 2 ? row->nr : (int)(in[3] | in[4] << 8 | (in[5] & 0x40) << 24);
	for (int i = 0; i < 6; i++) {
		uint64_t word;

		memcpy(&word, in + 16 + 8 * i, sizeof(word));
		notification.data.args[i] = reg(in[8 + i], word);
	}
	valid = (in[0] & 0xf0) != 0xf0;
	answers = continued = 0;
	/* Nothing of ours is to be written to: what sysinfo(2) is given must be in that memory, or nowhere. */
	if (in[0] & 2 && row->action == ECI_SYSINFO)
		notification.data.args[0] = reg(1 + 2 * (in[8] & 1), notification.data.args[0]);
	server.flood.calls = 0;	/* it would sleep */
	judge(&server, &notification);
	queued = eci_serve_take(&server, &taken);
	CHECK(queued + answers == valid);
	CHECK(!continued || (server.hand.rule >= 0 && !queued));
	copied_within_bounds(&server.hand);
	if (queued)
		copied_within_bounds(&taken);
	CHECK(!atomic_load(&server.reading_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t calls, room = PAGES * 4096, length;

	if (!memory)
		start();
	if (size < 1 + CALL_BYTES)
		return 0;
	/* First byte: which pages are there. Then the calls, and behind them what is in the memory, repeated. */
	CHECK(mprotect(memory, room, PROT_READ | PROT_WRITE) == 0);
	calls = (size - 1) / CALL_BYTES < MOST_CALLS ? (size - 1) / CALL_BYTES : MOST_CALLS;
	calls = calls > 1 ? calls / 2 : 1;
	length = size - 1 - calls * CALL_BYTES;
	if (length)
		for (size_t at = 0; at < room; at += length)
			memcpy(memory + at, data + 1 + calls * CALL_BYTES, at + length < room ? length : room - at);
	else
		memset(memory, 'a', room);
	for (int page = 0; page < PAGES; page++)
		if (data[0] & 1 << page)
			CHECK(mprotect(memory + page * 4096, 4096, PROT_NONE) == 0);
	for (size_t i = 0; i < calls; i++)
		one_call(data + 1 + i * CALL_BYTES);
	return 0;
}

#ifdef ONE_BY_ONE	/* without libFuzzer: each file named once */
int main(int argc, char **argv)
{
	static uint8_t buffer[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");

		if (!file)
			return 1;
		LLVMFuzzerTestOneInput(buffer, fread(buffer, 1, sizeof(buffer), file));
		fclose(file);
	}
	printf("%d inputs\n", argc - 1);
	return 0;
}
#endif
