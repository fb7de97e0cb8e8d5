/* proc_mount LISTENER MOUNTER: hands each notified mount(2) to the mounter as a new procfs at its target; no supervisor between. */
#define _GNU_SOURCE
#include <linux/seccomp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "mounter.h"

/* The socket is a trio loop's, and does not block. */
static int received(int socket, struct reply *reply)
{
	struct pollfd wait = { .fd = socket, .events = POLLIN };

	poll(&wait, 1, -1);
	return recv(socket, reply, sizeof(*reply), 0) == sizeof(*reply) ? 0 : -1;
}

int main(int argc, char **argv)
{
	int listener = argc > 2 ? atoi(argv[1]) : -1, mounter = argc > 2 ? atoi(argv[2]) : -1;
	struct { struct request request; uint32_t what; char target[64], options[1]; } packet = { 0 };
	struct seccomp_notif call = { 0 };

	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0) {
		union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
		struct iovec local = { packet.target, sizeof(packet.target) - 1 }, remote = { (void *)call.data.args[1], local.iov_len };
		struct iovec iov[] = { { &packet, offsetof(typeof(packet), target) }, { packet.target, 0 }, { packet.options, 1 } };
		struct msghdr message = { .msg_iov = iov, .msg_iovlen = 3, .msg_control = &control, .msg_controllen = sizeof(control) };
		struct reply reply;

		if (process_vm_readv((pid_t)call.pid, &local, 1, &remote, 1, 0) <= 0)
			return 1;
		packet.request = (struct request){ .kind = REQUEST_EMULATE, .id = call.id, .flags = call.data.args[3], .pid = call.pid, .count = 1 };
		iov[1].iov_len = strlen(packet.target) + 1;
		packet.what = OP_MOUNT_TREE;
		control.header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &listener, sizeof(listener));
		if (sendmsg(mounter, &message, 0) < 0 || received(mounter, &reply) < 0 || reply.error)
			return 2;
		memset(&call, 0, sizeof(call));
	}
	return 0;
}
