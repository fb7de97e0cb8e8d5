/* The serving thread: one for each listener fd. It receives, decides by the policy's rows, answers from registers, and hands
 * what needs effects to Python. It never takes the GIL, no lock but sysinfo.c's, and allocates nothing once it runs.
 *
 * Some facts about listeners (seccomp_unotify(2), and tried on 6.1 and 6.18):
 * - RECV wants a zeroed buffer, and blocks whatever O_NONBLOCK says. ENOENT may only mean that a caller was killed meanwhile; it is
 *   the end only together with POLLHUP. Before Linux 6.11 a blocked RECV does not return at the end: eci_serve_end interrupts it.
 * - The signal that does so may come just before the ioctl and be lost. So it is repeated until the thread says done.
 * - process_vm_readv of a page that a FUSE server of the container withholds returns only when this process exits. The thread
 *   says which notification it reads for (reading_id), and a timer has Python look after a second.
 */
#include "eci.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>

#include "lane.h"

#define END_SIGNAL (SIGRTMIN + 5)
#define STACK_BYTES (128u << 10)
#define SECOND_NS 1000000000ull
enum { WAIT_STEP_NS = 1000000, WAIT_STEPS = 100 };	/* a tenth of a second in all */
#define BURST_NS 200000u	/* calls that follow each other faster are a burst */

struct eci_server {
	int notify_fd, event_fd, timer_fd;	/* borrowed */
	const struct eci_policy *policy;
	struct eci_ring *ring;
	struct eci_machine *machine;	/* NULL: sysinfo(2) fails */
	struct eci_lane lane;
	pthread_t thread;
	_Atomic int ending, done;
	int error;			/* valid once done */
	uint64_t timer_ns;		/* when the timer goes off */
	struct eci_flood flood;
	int64_t realtime_ns;		/* CLOCK_REALTIME less CLOCK_MONOTONIC */
	_Atomic uint64_t reading_id;
	_Atomic uint64_t answered, asked, failed, lost;
	struct eci_queue queue;
	_Atomic uint32_t in_hand[ECI_QUEUE];	/* whose mounts Python has in hand, by the thread's number; of two with one place the later */
	struct eci_call hand;		/* the call in hand */
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Asked after the answer, and not in a burst: there it would halve the rate. Python looks later at what is not known here. */
static uint32_t caller_uid(const struct eci_server *server, const struct eci_call *call)
{
	return call->received_ns - server->flood.previous_ns < BURST_NS ? UINT32_MAX : eci_caller_uid(server->lane.procfs, call->tid);
}

/* One event for the call in hand, which has been answered. */
static void record(struct eci_server *server, const struct eci_call *call, enum eci_verdict verdict, int error)
{
	struct eci_event event = { .tid = call->tid, .arch = call->arch, .nr = call->nr, .rule = call->rule,
				   .verdict = (uint16_t)verdict, .error = (uint16_t)error };

	event.duration_ns = (uint32_t)(now_ns(CLOCK_MONOTONIC) - call->received_ns);
	count(verdict == ECI_FAILED ? &server->failed : &server->answered);
	event.uid = verdict == ECI_MOUNTED ? server->lane.uid : caller_uid(server, call);
	event.time_ns = call->received_ns + (uint64_t)server->realtime_ns;
	memcpy(event.args, call->args, sizeof(event.args));
	eci_tell_texts(call, &event);
	eci_ring_push(server->ring, &event);
}

/* Answers the call in hand and records it. */
static void answer(struct eci_server *server, const struct eci_call *call, enum eci_verdict verdict, int error)
{
	int ret = eci_answer(server->notify_fd, call->id, verdict == ECI_CONTINUED ? -1 : error);

	return ret < 0 ? count(&server->lost) : record(server, call, verdict, error);
}

/* Has Python look in a second, at most once a second. */
static void watch_read(struct eci_server *server, const struct eci_call *call)
{
	struct itimerspec second = { .it_value = { .tv_sec = 1 } };

	if (call->received_ns >= server->timer_ns) {
		timerfd_settime(server->timer_fd, 0, &second, NULL);
		server->timer_ns = call->received_ns + SECOND_NS;
	}
	atomic_store(&server->reading_id, call->id);
}

/* Copies those string arguments of `wanted` (one bit each) that were not copied yet. */
static void read_texts(struct eci_server *server, struct eci_call *call, uint32_t wanted, uint32_t pages, uint32_t structs)
{
	struct eci_read reads[ECI_TEXTS] = { 0 };
	unsigned int n = 0;

	for (uint32_t i = 0; i < call->text_count; i++)
		wanted &= ~(1u << call->texts[i].arg);
	for (int32_t arg = 0; arg < 6 && call->text_count < ECI_TEXTS; arg++) {
		uint32_t i = call->text_count;

		if (!(wanted & 1u << arg))
			continue;
		call->texts[i].arg = arg;
		reads[n].address = call->args[arg];
		reads[n].bytes = call->bytes[i];
		reads[n].text = &call->texts[i];
		if (structs & 1u << arg)	/* nothing to be had of an empty one: then it is read as a string, and the size says so */
			reads[n].size = call->args[arg + 1] < ECI_TEXT_BYTES ? (uint32_t)call->args[arg + 1] : ECI_TEXT_BYTES;
		reads[n++].page = (pages & 1u << arg) != 0;
		call->text_count++;
	}
	if (!n)
		return;
	watch_read(server, call);
	eci_tracee_read(call->tid, reads, n);
	atomic_store(&server->reading_id, 0);
}

static int named(struct eci_server *server, struct eci_call *call, const struct eci_row *row)
{
	read_texts(server, call, 1u << row->text | row->reads, row->pages, row->structs);	/* all in one call */
	for (uint32_t i = 0; i < call->text_count; i++)
		if (call->texts[i].arg == row->text)
			return eci_row_named(row, &call->texts[i], call->bytes[i]);
	return 0;
}

static const struct eci_row *fitting_row(struct eci_server *server, struct eci_call *call)
{
	const struct eci_policy *policy = server->policy;
	int i = -1;

	while ((i = eci_policy_next(policy, (uint32_t)(i + 1), call->arch, call->nr, call->args)) >= 0)
		if (policy->rows[i].text < 0 || named(server, call, &policy->rows[i]))
			return &policy->rows[i];
	return NULL;
}

static void wake_python(const struct eci_server *server)
{
	uint64_t one = 1;

	if (write(server->event_fd, &one, sizeof(one)) < 0)
		return;	/* EAGAIN: the counter is full, so Python has not looked yet, and will */
}

/* Puts the call in hand into the queue. While Python is held up, signals can fill it with calls that are long gone, their repetitions
 * behind them: so a full queue is waited for, a little. What is not received meanwhile does not fill it either. */
static int enqueue(struct eci_server *server, const struct eci_call *call)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_NS };

	for (int i = 0; i < WAIT_STEPS; i++) {
		int ret = eci_id_valid(server->notify_fd, call->id);

		if (ret < 0)	/* gone: what was read may have been another process's memory */
			return ret;
		if (eci_queue_put(&server->queue, call) == 0)
			return 0;
		nanosleep(&step, NULL);
	}
	return -EAGAIN;
}

/* Hands the call in hand to Python, strings and all. */
static void ask(struct eci_server *server, struct eci_call *call, const struct eci_row *row)
{
	int ret;

	read_texts(server, call, row->action == ECI_CONTINUE ? 0 : row->reads, row->pages, row->structs);
	ret = enqueue(server, call);
	if (ret == -EAGAIN)
		return answer(server, call, ECI_FAILED, EIO);
	if (ret < 0)
		return count(&server->lost);
	count(&server->asked);
	if (row->action == ECI_MOUNT)	/* Python may be done with it already: then the thread's next call goes there for nothing */
		atomic_store(&server->in_hand[call->tid % ECI_QUEUE], call->tid);
	wake_python(server);
}

/* Whether the call in hand was a mount that is done or decided here. Attaching waits for the target's inode, which a FUSE server may withhold. */
static int mounted(struct eci_server *server, struct eci_call *call, const struct eci_row *row)
{
	int ret;

	read_texts(server, call, row->reads, row->pages, row->structs);
	watch_read(server, call);
	ret = eci_lane_mount(&server->lane, server->notify_fd, call);
	atomic_store(&server->reading_id, 0);
	if (ret > 0)
		record(server, call, ret == MADE ? ECI_MOUNTED : ECI_CONTINUED, 0);
	else if (ret < 0)
		count(&server->lost);
	eci_lane_rest(&server->lane);
	return ret;
}

/* Answers sysinfo(2). Writing can hang as reading can. */
static void tell_machine(struct eci_server *server, const struct eci_call *call)
{
	struct eci_sysinfo info;
	int ret = server->machine ? eci_machine_get(server->machine, call->received_ns, &info) : -EIO;

	if (ret < 0)
		return answer(server, call, ECI_FAILED, EIO);
	if (eci_id_valid(server->notify_fd, call->id) < 0)
		return count(&server->lost);
	watch_read(server, call);
	ret = eci_sysinfo_put(call->tid, call->arch, call->args[0], &info);
	atomic_store(&server->reading_id, 0);
	answer(server, call, ECI_EMULATED, -ret);
}

static void judge(struct eci_server *server, const struct seccomp_notif *notification)
{
	struct eci_call *call = &server->hand;
	const struct eci_row *row;

	call->received_ns = now_ns(CLOCK_MONOTONIC);
	call->id = notification->id;
	call->ip = notification->data.instruction_pointer;
	call->tid = notification->pid;
	call->arch = notification->data.arch;
	call->nr = notification->data.nr;
	call->made = call->text_count = 0;
	call->held = atomic_load(&server->in_hand[call->tid % ECI_QUEUE]) == call->tid;
	memcpy(call->args, notification->data.args, sizeof(call->args));
	eci_lane_moved_on(&server->lane, call);
	row = fitting_row(server, call);
	call->rule = row ? row->rule : -1;
	if (!row)
		answer(server, call, ECI_FAILED, EIO);
	else if (row->action == ECI_CONTINUE && !call->held) {	/* else Python continues it, in its turn */
		if (row->reads && call->received_ns - server->flood.previous_ns >= BURST_NS)
			eci_tell_namespace(call, server->lane.procfs, server->lane.mnt);
		answer(server, call, ECI_CONTINUED, 0);
	} else if (row->action == ECI_SYSINFO)
		tell_machine(server, call);
	else if (row->action == ECI_ERRNO)
		answer(server, call, ECI_DENIED, row->error);
	else if (row->action != ECI_MOUNT || !mounted(server, call, row))
		ask(server, call, row);
	eci_flood_rest(&server->flood, call, row && row->action == ECI_ASK);
}

static int hung_up(int notify_fd)
{
	struct pollfd listener = { .fd = notify_fd };

	return poll(&listener, 1, 0) > 0 && (listener.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void *serve(void *argument)
{
	struct eci_server *server = argument;

	prctl(PR_SET_NAME, "eci-serve");
	while (!atomic_load(&server->ending)) {
		struct seccomp_notif notification = { 0 };

		if (!ioctl(server->notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &notification)) {
			judge(server, &notification);
			continue;
		}
		if (errno == EINTR || (errno == ENOENT && !hung_up(server->notify_fd)))
			continue;
		server->error = errno == ENOENT ? 0 : errno;
		break;
	}
	atomic_store(&server->done, 1);
	wake_python(server);
	return NULL;
}

static void interrupted(int signal)
{
	(void)signal;	/* its delivery is what ends the ioctl */
}

/* The thread takes no signal but the one that ends it: its answers must not be torn from it. */
static int start_thread(struct eci_server *server)
{
	struct sigaction action = { .sa_handler = interrupted };	/* no SA_RESTART */
	sigset_t blocked, before;
	pthread_attr_t attributes;
	int ret;

	sigfillset(&blocked);
	sigdelset(&blocked, END_SIGNAL);
	if (sigaction(END_SIGNAL, &action, NULL) < 0)
		return -errno;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	ret = pthread_create(&server->thread, &attributes, serve, server);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -ret;
}

/* Starts a thread on notify_fd. All fds, the policy, the ring and the machine are borrowed until eci_serve_free. What the thread writes
 * to lies in mappings of its own: pages.c relies on it. */
int eci_serve_start(int notify_fd, const struct eci_policy *policy, struct eci_ring *ring, struct eci_machine *machine,
		    const struct eci_mounts *mounts, int event_fd, int timer_fd, struct eci_server **result)
{
	struct eci_server *server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (server == MAP_FAILED)
		return -errno;
	server->notify_fd = notify_fd;
	server->event_fd = event_fd;
	server->timer_fd = timer_fd;
	server->policy = policy;
	server->ring = ring;
	server->machine = machine;
	server->realtime_ns = (int64_t)(now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC));
	ret = eci_lane_open(&server->lane, mounts);
	if (ret == 0)
		ret = eci_queue_open(&server->queue);
	if (ret == 0) {
		ret = start_thread(server);
		if (ret == 0) {
			*result = server;
			return 0;
		}
		eci_queue_close(&server->queue);
	}
	eci_lane_close(&server->lane);
	munmap(server, sizeof(*server));
	return ret;
}

/* The oldest call that was handed on; 0 if there is none. */
int eci_serve_take(struct eci_server *server, struct eci_call *call)
{
	return eci_queue_take(&server->queue, call);
}

/* Nothing more will be done for a call that was taken. What its thread calls after a mount is held back until then. */
void eci_serve_finished(struct eci_server *server, uint32_t tid)
{
	atomic_compare_exchange_strong(&server->in_hand[tid % ECI_QUEUE], &tid, 0);
}

/* How the thread has ended: 0 if the listener hung up or eci_serve_end said so, an errno; -1: it runs. */
int eci_serve_done(struct eci_server *server)
{
	return atomic_load(&server->done) ? server->error : -1;
}

/* To be repeated until eci_serve_done. */
int eci_serve_end(struct eci_server *server)
{
	atomic_store(&server->ending, 1);
	return -pthread_kill(server->thread, END_SIGNAL);
}

/* The notification whose memory is being read, its registers in `call`; 0 if none. How long is for the caller to say. */
uint64_t eci_serve_reading(struct eci_server *server, struct eci_call *call)
{
	uint64_t id = atomic_load(&server->reading_id);

	if (!id)
		return 0;
	memcpy(call, &server->hand, offsetof(struct eci_call, texts));
	call->text_count = 0;
	return atomic_load(&server->reading_id) == id ? id : 0;	/* another call began: it is not stuck */
}

void eci_serve_counters(struct eci_server *server, struct eci_counters *counters)
{
	counters->answered = atomic_load_explicit(&server->answered, memory_order_relaxed);
	counters->asked = atomic_load_explicit(&server->asked, memory_order_relaxed);
	counters->failed = atomic_load_explicit(&server->failed, memory_order_relaxed);
	counters->lost = atomic_load_explicit(&server->lost, memory_order_relaxed);
}

/* Only once it is done. */
void eci_serve_free(struct eci_server *server)
{
	pthread_join(server->thread, NULL);
	eci_queue_close(&server->queue);
	eci_lane_close(&server->lane);
	munmap(server, sizeof(*server));
}
