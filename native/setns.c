/* What the event of a setns(2) says of its descriptor; the verdict does not depend on it, and the kernel looks again. */
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "mounter.h"

/* In the place of the register: the kind, the inode, and the uid of who made the user namespace that owns it, or that it is. A namespace is
 * on the file system of `ours`. Until that is known nothing is opened and nobody asked: a FUSE server would keep us waiting. */
void eci_tell_namespace(struct eci_call *call, int procfs, int ours)
{
	cleanup_fd int at = -1, ns = -1, user = -1;
	unsigned int owner = 0;
	char path[40];
	struct statx st, own;
	int kind;

	snprintf(path, sizeof(path), "%u/fd/%d", call->tid, (int)call->args[0]);
	at = openat(procfs, path, O_PATH | O_CLOEXEC);
	if (at < 0 || statx(at, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) < 0 ||
	    statx(ours, "", AT_EMPTY_PATH, STATX_INO, &own) < 0 || st.stx_dev_major != own.stx_dev_major || st.stx_dev_minor != own.stx_dev_minor)
		return;
	snprintf(path, sizeof(path), "self/fd/%d", at);
	ns = openat(procfs, path, O_RDONLY | O_CLOEXEC);
	kind = ioctl(ns, NS_GET_NSTYPE);
	user = kind == CLONE_NEWUSER ? steal_fd(&ns) : ioctl(ns, NS_GET_USERNS);
	if (ioctl(user, NS_GET_OWNER_UID, &owner) < 0)
		return;
	call->texts[0] = (struct eci_text){
		.length = (uint32_t)snprintf(call->bytes[0], ECI_TEXT_BYTES, "%x %llu %u", (unsigned int)kind, st.stx_ino, owner) };
	call->text_count = 1;
}
