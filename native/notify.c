/* What a serving thread and the mounter alike say to the kernel of a notification, and ask of a caller. */
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>

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

/* Whether the caller's LSM label is ours: its profile may say `deny mount`, and the kernel would ask ours. "": there are none here. */
bool eci_same_label(int proc, const char *ours)
{
	cleanup_fd int fd = *ours ? openat(proc, "attr/current", O_RDONLY | O_CLOEXEC) : -1;
	char label[sizeof(((struct spare *)0)->label)] = "";

	return !*ours || (fd >= 0 && read(fd, label, sizeof(label) - 1) > 0 && !strcmp(label, ours));
}
