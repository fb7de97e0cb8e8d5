/* Both ends of a notified call.
 *
 *   notified_call caller SOCKET < program     loads the BPF program on stdin, sends the listener over SOCKET, then for each
 *                                             { uint32 count, uint32 pause_us, uint32 threads } it receives there makes `count`
 *                                             calls of unshare(0), shared among so many threads, and sends back what each took,
 *                                             as uint64 nanoseconds
 *   notified_call loop LISTENER               the tightest loop there is: RECV, SEND with CONTINUE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SET_FLAGS = 0x40082104, SYNC_WAKE_UP = 1 };	/* linux/seccomp.h, which may be older */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int send_fd(int connection, int fd)
{
	char byte = 'f', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(connection, &message, 0) == 1 ? 0 : -1;
}

static int install(void)
{
	static struct sock_filter filter[4096];
	struct sock_fprog program = { .filter = filter };
	size_t used = 0;
	ssize_t got;

	while ((got = read(0, (char *)filter + used, sizeof(filter) - used)) > 0)
		used += (size_t)got;
	program.len = (unsigned short)(used / sizeof(filter[0]));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

struct share {
	uint64_t *took;
	uint32_t count, pause_us;
	pthread_barrier_t *begin;
};

static void *make_calls(void *argument)
{
	const struct share *share = argument;
	struct timespec pause = { .tv_nsec = (long)share->pause_us * 1000 };

	pthread_barrier_wait(share->begin);
	for (uint32_t i = 0; i < share->count; i++) {
		uint64_t start;

		if (share->pause_us)
			nanosleep(&pause, NULL);
		start = now_ns();
		if (unshare(0))
			_exit(2);
		share->took[i] = now_ns() - start;
	}
	return NULL;
}

/* All but the first share are those of other threads. */
static void make_round(uint64_t *took, uint32_t count, uint32_t pause_us, uint32_t threads)
{
	pthread_barrier_t begin;
	struct share shares[threads];
	pthread_t others[threads];

	pthread_barrier_init(&begin, NULL, threads);
	for (uint32_t i = 0; i < threads; i++) {
		shares[i] = (struct share){ took + i * (count / threads), count / threads, pause_us, &begin };
		if (i && pthread_create(&others[i], NULL, make_calls, &shares[i]))
			_exit(4);
	}
	make_calls(&shares[0]);
	for (uint32_t i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	pthread_barrier_destroy(&begin);
}

static int caller(int connection)
{
	int listener = install();
	uint32_t wanted[3];

	if (listener < 0 || send_fd(connection, listener) < 0)
		return 1;
	close(listener);
	while (recv(connection, wanted, sizeof(wanted), MSG_WAITALL) == sizeof(wanted)) {
		uint64_t *took = calloc(wanted[0], sizeof(*took));

		make_round(took, wanted[0], wanted[1], wanted[2]);
		for (size_t sent = 0, all = wanted[0] * sizeof(*took); sent < all;) {
			ssize_t n = write(connection, (char *)took + sent, all - sent);

			if (n <= 0)
				return 3;
			sent += (size_t)n;
		}
		free(took);
	}
	return 0;
}

/* A caller wakes the loop on its own processor, where the kernel has that (6.6): the scheduler's choice may be ten times as slow. */
static int loop(int listener)
{
	ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
	for (;;) {
		struct seccomp_notif call = { 0 };
		struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
			return errno != ENOENT;
		answer.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 64;
	return strcmp(argv[1], "caller") ? loop(atoi(argv[2])) : caller(atoi(argv[2]));
}
