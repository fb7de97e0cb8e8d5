/* What serving threads and the mounter both do: speak with the kernel of a notification, ask of a caller, hear from another process. */
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "mounter.h"

int eci_id_valid(int notify_fd, uint64_t id)
{
	return result(ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
}

int eci_answer(int notify_fd, uint64_t id, int error)
{
	struct seccomp_notif_resp answer = { .id = id, .error = error < 0 ? 0 : -error,
					     .flags = error < 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0 };
	int ret;

	do
		ret = ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	while (ret < 0 && errno == EINTR);	/* the ending signal, while it waited for the filter's lock */
	return result(ret);
}

/* All of a file of procfs, as far as there is room, and a NUL; whether there is anything. */
bool eci_read_text(int dir, const char *path, char *text, size_t size)
{
	cleanup_fd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n;

	while (fd >= 0 && got < size - 1 && (n = read(fd, text + got, size - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = 0;
	return got > 0;
}

/* Whether the caller's LSM label is ours: its profile may say `deny mount`, and the kernel would ask ours. "": there are none here. */
bool eci_same_label(int proc, const char *ours)
{
	char label[sizeof(((struct spare *)0)->label)];

	return !*ours || (eci_read_text(proc, "attr/current", label, sizeof(label)) && !strcmp(label, ours));
}

/* One packet with at most one descriptor, else -1; what does not fit is an error, not a shorter packet. 0: the other side is gone. */
ssize_t eci_receive(int socket, void *buffer, size_t size, int *fd)
{
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
	struct iovec iov = { .iov_base = buffer, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	*fd = -1;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(header), sizeof(int));
	return got > 0 && message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? 1 : got;
}
