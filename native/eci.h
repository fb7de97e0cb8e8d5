/* What native/ offers to Python: the part between the markers is read by build.py as the cdef, so it holds plain declarations only.
 * Conventions: 0, a positive value or -errno is returned; an int named *_fd is borrowed unless its comment says otherwise.
 */
#ifndef ECI_H
#define ECI_H

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

/* cdef: begin (libc, for linux/: errno is in ffi.errno) */
long syscall(long number, ...);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
int unshare(int flags);
int setns(int fd, int nstype);
int setfsuid(unsigned int uid);
int setfsgid(unsigned int gid);
int prctl(int option, ...);
/* cdef: end */

/* The magic number of the file system that fd, an O_PATH one too, is on. Here because Python's statvfs leaves it out. */
static inline long eci_fs_magic(int fd)
{
	struct statfs result;

	return fstatfs(fd, &result) < 0 ? -errno : (long)result.f_type;
}

/* cdef: begin (linux/statfs.py) */
long eci_fs_magic(int fd);
/* cdef: end */

/* cdef: begin (linux/pages.py) */
int eci_pages_move(int fd, uintptr_t start, size_t length, long at);
int eci_page_give_back(int fd, uintptr_t page, size_t bytes, long at);
int *__errno_location(void);
/* cdef: end */

/* cdef: begin (the serving thread: policy.c, tracee.c, ring.c, serve.c) */
#define ECI_ROWS 256		/* rows of a compiled policy */
#define ECI_TEXTS 4		/* strings copied for one call: mount(2) has four */
#define ECI_TEXT_BYTES 4096	/* PATH_MAX, and the page that mount(2) takes as data */
#define ECI_EVENT_TEXT 160	/* of all strings of one event together */

/* How a register is read before it is tested. */
enum eci_register {
	ECI_WORD,		/* all bits of the ABI's word */
	ECI_INT,		/* an int of the kernel: the low 32 bits */
	ECI_MOUNT_FLAGS,	/* mount(2): without MS_MGC_VAL and what goes with it */
};

enum eci_action {
	ECI_CONTINUE,		/* the kernel goes on with the call */
	ECI_ERRNO,		/* the call fails with the row's error */
	ECI_ASK,		/* copied and handed on to Python */
	ECI_SYSINFO,		/* written from the container's sample: sysinfo.c */
	ECI_MOUNT,		/* done by lane.c where it is the usual mount, else as ECI_ASK */
};

/* One row of a policy; the first that fits wins. */
struct eci_row {
	uint32_t arch;		/* AUDIT_ARCH_* */
	int32_t nr;
	int32_t arg;		/* the register tested: (register & mask) == value; mask 0 fits always */
	int32_t reg;		/* enum eci_register */
	uint64_t mask;
	uint64_t value;
	int32_t text;		/* the string argument that must be one of names, or -1 */
	int32_t action;		/* enum eci_action */
	char names[2][16];
	int32_t error;
	int32_t rule;		/* index into policy.table.RULES */
	uint32_t reads;		/* string arguments copied for ECI_ASK, one bit each; of ECI_CONTINUE: its event names a namespace */
	uint32_t pages;		/* those of reads that are a page of data: what is readable counts, no NUL is needed */
	uint32_t structs;	/* those that are a struct: the next argument is its size, of which ECI_TEXT_BYTES at most are copied */
};

struct eci_policy {
	uint32_t count;
	struct eci_row rows[ECI_ROWS];
};

/* Index of the first row from `from` on that fits the registers, or -1. Its text is for the caller to compare. */
int eci_policy_next(const struct eci_policy *policy, uint32_t from, uint32_t arch, int32_t nr, const uint64_t *args);

/* A string of the caller. error: 0, EFAULT, or ENAMETOOLONG (no NUL within ECI_TEXT_BYTES); length is without the NUL. */
struct eci_text {
	int32_t arg;
	int32_t error;
	int32_t null;
	uint32_t length;
};

/* Whether the text, as it was copied, is one of the row's names. */
int eci_row_named(const struct eci_row *row, const struct eci_text *text, const char *bytes);

/* A call for Python: bytes[i] belongs to texts[i]. */
struct eci_call {
	uint64_t id;
	uint64_t ip;
	uint64_t args[6];
	uint64_t received_ns;	/* CLOCK_MONOTONIC */
	uint32_t tid;
	uint32_t arch;
	int32_t nr;
	int32_t rule;
	uint64_t made;		/* the mount that the same call has made before, or 0 */
	uint32_t held;		/* the thread's mount before, which a signal has taken away maybe, is still being carried out, or undone */
	uint32_t text_count;
	struct eci_text texts[ECI_TEXTS];
	char bytes[ECI_TEXTS][ECI_TEXT_BYTES];
};

/* What an event says was done. */
enum eci_verdict {
	ECI_CONTINUED,
	ECI_DENIED,
	ECI_EMULATED,
	ECI_FAILED,		/* our own failure: no row, no room, a stuck read, a dead mounter */
	ECI_MOUNTED = 7,	/* by lane.c; 4 to 6 and 8 are Python's: seccomp/ring.py */
};

struct eci_event {
	uint64_t time_ns;	/* CLOCK_REALTIME at RECV */
	uint64_t args[6];
	uint32_t duration_ns;	/* RECV to SEND */
	uint32_t tid;
	uint32_t pid;		/* 0: not asked */
	uint32_t uid;		/* UINT32_MAX: not known */
	uint32_t arch;
	int32_t nr;
	int32_t rule;		/* -1: no row */
	uint16_t verdict;	/* enum eci_verdict */
	uint16_t error;
	char text[ECI_EVENT_TEXT];	/* '0' + argument, bytes, NUL; again for the next */
};

/* Events of all serving threads of a container: written without locks, the oldest are overwritten. */
struct eci_ring;
struct eci_ring *eci_ring_new(uint32_t slots, int event_fd);
void eci_ring_free(struct eci_ring *ring);
uint64_t eci_ring_push(struct eci_ring *ring, const struct eci_event *event);
int eci_ring_read(const struct eci_ring *ring, uint64_t seq, struct eci_event *event);
uint64_t eci_ring_last(const struct eci_ring *ring);
void eci_ring_arm(struct eci_ring *ring);

/* Counters of one thread; each is written by the serving thread alone. */
struct eci_counters {
	uint64_t answered;	/* in C */
	uint64_t asked;		/* handed to Python */
	uint64_t failed;	/* answered EIO in C */
	uint64_t lost;		/* the caller was gone, or a signal took it away */
};

/* What sysinfo(2) writes. number: another for each sample; until_ns: CLOCK_MONOTONIC, the end of its life. */
struct eci_sysinfo {
	uint64_t number, until_ns;
	char wide[112];		/* struct sysinfo of 64-bit words */
	char narrow[64];	/* of 32-bit words */
};

/* The sample of one container, shared by its serving threads; zeroed at first. event_fd (borrowed): a new one is wanted. */
struct eci_machine {
	int event_fd, locked;
	struct eci_sysinfo now;
};
void eci_machine_set(struct eci_machine *machine, const struct eci_sysinfo *now);

/* What lane.c does itself of mount(2). */
#define ECI_LISTED 64
enum eci_mounting { ECI_UNUSUAL, ECI_NEW_PROC, ECI_NEW_TMPFS, ECI_BIND, ECI_BIND_ALL };
enum eci_spare { ECI_SPARE_PROC, ECI_SPARE_TMPFS, ECI_SPARES };
enum eci_listed_as { ECI_SOURCE = 1, ECI_ABOVE_SOURCE = 2, ECI_TARGET = 4 };	/* model/listed.py */
struct eci_mounts {
	int lanes[2];		/* borrowed, by enum eci_spare */
	uint32_t may;		/* one bit for each enum eci_mounting */
	uint32_t judged;	/* whether there are rules for sources, and for targets */
	uint32_t count;
	struct {
		uint64_t dev, ino;
		uint32_t what;
	} listed[ECI_LISTED];
};

struct eci_server;
int eci_serve_start(int notify_fd, const struct eci_policy *policy, struct eci_ring *ring, struct eci_machine *machine,
		    const struct eci_mounts *mounts, int event_fd, int timer_fd, struct eci_server **result);
int eci_serve_take(struct eci_server *server, struct eci_call *call);
void eci_serve_finished(struct eci_server *server, uint32_t tid);
int eci_serve_done(struct eci_server *server);
int eci_serve_end(struct eci_server *server);
uint64_t eci_serve_reading(struct eci_server *server, struct eci_call *call);
void eci_serve_counters(struct eci_server *server, struct eci_counters *counters);
void eci_serve_free(struct eci_server *server);

/* The answer to notification id: error, 0 for success, or -1: the call goes on. -ENOENT: the caller is gone. */
int eci_answer(int notify_fd, uint64_t id, int error);
int eci_id_valid(int notify_fd, uint64_t id);
/* cdef: end */

_Static_assert(sizeof(struct eci_event) == 248, "an event and its sequence number fill four cache lines");

/* Within native/ only. */

#define ECI_QUEUE 64u	/* one bit each in room */

struct eci_queue {
	_Atomic uint64_t room;		/* free slots */
	_Atomic uint32_t head, tail;	/* of order: written by Python, by the thread */
	uint8_t order[ECI_QUEUE];
	struct eci_call *slots;
};
int eci_queue_open(struct eci_queue *queue);
void eci_queue_close(struct eci_queue *queue);
int eci_queue_put(struct eci_queue *queue, const struct eci_call *call);
int eci_queue_take(struct eci_queue *queue, struct eci_call *call);

/* What flood.c knows of the calls of one listener. */
struct eci_flood {
	uint64_t previous_ns;	/* when the call before was received, and whose it was */
	uint32_t previous_tid, calls;
};
void eci_flood_rest(struct eci_flood *flood, const struct eci_call *call, int asked);
void eci_tell_texts(const struct eci_call *call, struct eci_event *event);
uint64_t eci_mount_flags(uint64_t flags);

/* One string to be read: `address` of the caller into `bytes`, as ECI_TEXT_BYTES says. */
struct eci_read {
	uint64_t address;
	char *bytes;
	struct eci_text *text;
	uint32_t done;		/* bytes read so far */
	uint32_t size;		/* of a struct, which no NUL ends; 0 for the others */
	int ended;
	int page;
};
uint32_t eci_caller_uid(int procfs, uint32_t tid);
void eci_tell_namespace(struct eci_call *call, int procfs, int ours);
int eci_machine_get(struct eci_machine *machine, uint64_t now_ns, struct eci_sysinfo *info);
int eci_sysinfo_put(uint32_t tid, uint32_t arch, uint64_t address, struct eci_sysinfo *info);
void eci_tracee_read(uint32_t tid, struct eci_read *reads, unsigned int count);

#endif
