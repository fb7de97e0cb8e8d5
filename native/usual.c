/* Which mounts are usual, so that lane.c makes them: what the call says, who asks, where it leads. Nothing is changed here; whatever is not
 * plain is not usual.
 *
 * Why the caller gets no more than its own authority:
 * - The kernel would ask for CAP_SYS_ADMIN in the owner of its mount namespace, and of the pid namespace that is shown. Both are asked
 *   for here to be owned by the container's user namespace, its own, in which it has that capability.
 * - Its paths are walked below its root with the ids of container root and without our capabilities over files, which setfsuid(2) takes
 *   away. It has CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: for files of the container's ids it could do more. For other ids it is as we are.
 * - In a user namespace below the container's that one has to own the mount namespace, and the capabilities over files count for the ids
 *   that it maps. So only binds are made there, for who has the ids that we walk with and came there without a group that a file may deny: one
 *   that it got there it can drop (CAP_SETGID). Where the kernel goes on with the call it asks for all this again, and we only look.
 * - RESOLVE_CACHED: no file system is asked, so none of the container's can keep us waiting.
 * - Files of a procfs or sysfs show the namespaces of who looks, which would be ours: they are nothing to bind, nor to mount on.
 */
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "mounter.h"

enum { NEEDED = 1 << CAP_SYS_ADMIN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH | 1 << CAP_SETGID };
enum { FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SILENT | MS_RELATIME };
enum { LEVELS = 32, ATTEMPTS = 8 };

/* ---- what the call says ---- */

/* Options of a tmpfs that mean the same whoever sets them: uid= and gid= would be counted as in our user namespace. */
static bool usual_options(const char *options)
{
	static const char *const known[] = { "mode=", "size=", "nr_inodes=", "nr_blocks=" };

	while (options && *options) {
		size_t length = strcspn(options, ","), i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strncmp(options, known[i], strlen(known[i])))
			i++;
		if (i == sizeof(known) / sizeof(known[0]) || length >= ECI_OPTION)
			return false;
		options += length + (options[length] == ',');
	}
	return true;
}

static enum eci_mounting usual_new(const struct mounting *m, const char *type)
{
	if (!strcmp(type, "proc"))
		return m->options && *m->options ? ECI_UNUSUAL : ECI_NEW_PROC;
	return !strcmp(type, "tmpfs") && usual_options(m->options) ? ECI_NEW_TMPFS : ECI_UNUSUAL;
}

/* Whether the call is a usual one that is made here: mount(2)'s own order of flags, of which the row has told REMOUNT apart. */
bool eci_usual_call(const struct eci_lane *lane, struct eci_call *call, struct mounting *m)
{
	uint64_t flags = eci_mount_flags(call->args[3]);
	const char *strings[5] = { 0 };

	for (uint32_t i = 0; i < call->text_count; i++) {
		const struct eci_text *text = &call->texts[i];

		if (text->error || text->length == ECI_TEXT_BYTES - 1)
			return false;
		call->bytes[i][text->length] = 0;	/* a page may have none */
		strings[text->arg] = text->null ? NULL : call->bytes[i];
	}
	*m = (struct mounting){ .source = strings[0], .target = strings[1], .options = strings[4], .fds = { -1, -1, -1, -1 } };
	if (!m->target || *m->target != '/')
		return false;
	if (flags & MS_BIND)
		m->kind = m->source && *m->source == '/' ? flags & MS_REC ? ECI_BIND_ALL : ECI_BIND : ECI_UNUSUAL;
	else
		m->kind = strings[2] && !(flags & ~(uint64_t)FLAGS) ? usual_new(m, strings[2]) : ECI_UNUSUAL;
	return lane->mounts->may & 1u << m->kind;
}

/* ---- who asks ---- */

/* The number of the namespace that `path` is the link of. To read the link is the cheapest way to ask, and cheaper by a descriptor of
 * its own, which tells of the thread as it is now; of one that has ended, nothing: 0. */
static uint64_t namespace(int link, const char *path)
{
	char text[32] = "";
	const char *number = readlinkat(link, path, text, sizeof(text) - 1) > 0 ? strchr(text, '[') : NULL;

	return number ? strtoull(number + 1, NULL, 10) : 0;
}

/* Whether the thread is in the container's mount namespace, which is ours from now on: to come and go for each call would cost as much as a
 * mount. Or in another that its user namespace owns. */
static bool enterable(struct eci_lane *lane, uint64_t user, int *mnt)
{
	cleanup_fd int owner = -1;
	struct stat st;

	*mnt = openat(lane->proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
	if (*mnt < 0 || fstat(*mnt, &st) < 0)
		return false;
	if (user != lane->whose.ns[NS_USER] || st.st_ino != lane->whose.ns[NS_MNT]) {
		owner = ioctl(*mnt, NS_GET_USERNS);
		return owner >= 0 && fstat(owner, &st) == 0 && st.st_ino == user;
	}
	if (!lane->inside) {
		if (setns(*mnt, CLONE_NEWNS) < 0)
			return false;
		eci_close(&lane->mnt);
		lane->mnt = fcntl(*mnt, F_DUPFD_CLOEXEC, 0);
		lane->inside = true;
	}
	eci_close(mnt);
	return true;
}

/* The number of the thread's user namespace, the container's or one below; has its directory of /proc opened. */
static uint64_t hold(struct eci_lane *lane, uint32_t tid)
{
	uint64_t user = lane->proc >= 0 && lane->tid == tid ? namespace(lane->user, "") : 0;
	char number[12];

	if (user)
		return user;
	eci_close(&lane->proc);
	eci_close(&lane->user);
	snprintf(number, sizeof(number), "%u", tid);
	lane->tid = tid;
	lane->groupless = 0;
	lane->proc = openat(lane->procfs, number, O_PATH | O_DIRECTORY | O_CLOEXEC);
	lane->user = openat(lane->proc, "ns/user", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return namespace(lane->user, "");
}

/* Whether the thread's root is ours, which pivot_root(2) takes along. A mount belongs to one mount namespace, so that one is the thread's, or it
 * has come from there and put its root here: the kernel would say EINVAL to that, and here it is one of those that could join us. */
static bool same_root(const struct eci_lane *lane)
{
	const unsigned int what = STATX_INO | STATX_MNT_ID;
	struct statx its, ours;

	return lane->inside && statx(lane->proc, "root", AT_STATX_DONT_SYNC, what, &its) == 0 &&
	       statx(AT_FDCWD, "/", AT_STATX_DONT_SYNC, what, &ours) == 0 && its.stx_mnt_id == ours.stx_mnt_id && its.stx_ino == ours.stx_ino &&
	       its.stx_dev_minor == ours.stx_dev_minor && its.stx_dev_major == ours.stx_dev_major;
}

/* Whether the thread has the ids of container root; what its event is to say of it. A tmpfs belongs to who mounts it: the kernel takes the ids
 * for files, but with another fsuid the capabilities were gone. */
static bool is_root(struct eci_lane *lane)
{
	struct stat st;

	if (fstat(lane->proc, &st) < 0)
		return false;
	lane->uid = st.st_uid;
	return st.st_uid == lane->whose.root && st.st_gid == lane->whose.root;
}

/* Whether the thread has been seen in its user namespace without groups but container root's. It never leaves it but for one below. */
static bool groupless(struct eci_lane *lane, uint64_t user)
{
	char own[24], status[512];

	snprintf(own, sizeof(own), "\nGroups:\t%u \n", lane->whose.root);
	if (lane->groupless != user && eci_read_text(lane->proc, "status", status, sizeof(status)) &&
	    (strstr(status, "\nGroups:\t \n") || strstr(status, own)))
		lane->groupless = user;
	return lane->groupless == user;
}

/* Whether the thread, its ids and its user namespace are such that this kind of mount may be made, or looked at, for it. */
static bool entitled(struct eci_lane *lane, uint64_t user, const struct mounting *m)
{
	bool root = is_root(lane);

	if (user == lane->whose.ns[NS_USER])
		return root || m->kind != ECI_NEW_TMPFS;
	if (m->kind == ECI_BIND && !lane->mounts->judged)
		return true;
	return (m->kind == ECI_BIND || m->kind == ECI_BIND_ALL) && root && groupless(lane, user);
}

/* Whether the thread may do the call; its root and mount namespace, unless they are ours. */
bool eci_usual_caller(struct eci_lane *lane, uint32_t tid, struct mounting *m)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, (int)tid };
	struct __user_cap_data_struct caps[2];
	uint64_t user = hold(lane, tid);

	if (!user || syscall(SYS_capget, &header, caps) < 0 || (caps[0].effective & NEEDED) != NEEDED ||
	    !eci_same_label(lane->proc, lane->whose.label) || !entitled(lane, user, m))
		return false;
	if (m->kind == ECI_NEW_PROC && (namespace(lane->proc, "ns/pid") != lane->whose.ns[NS_PID] ||
					namespace(lane->proc, "ns/net") != lane->whose.ns[NS_NET]))
		return false;
	if (user == lane->whose.ns[NS_USER] && same_root(lane))
		return true;
	if (!enterable(lane, user, &m->fds[MNT]))
		return false;
	m->fds[ROOT] = openat(lane->proc, "root", O_PATH | O_CLOEXEC);
	return m->fds[ROOT] >= 0;
}

/* ---- where it leads ---- */

/* A mount that comes or goes anywhere meanwhile makes the kernel give up such a walk: then it is tried again. */
static int walk(int root, const char *path, int how)
{
	uint64_t resolve = RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS | (root < 0 ? 0 : RESOLVE_IN_ROOT);
	int fd = -EAGAIN;

	for (int i = 0; i < ATTEMPTS && fd == -EAGAIN; i++)
		fd = eci_open_below(root, path, (uint64_t)(O_PATH | how), resolve);
	return fd;
}

/* Whether an admin's rule may be against the directory: it is listed, or one above it on its mount, or that cannot be told here. As
 * linux/ancestry.py and model/listed.py. `one`: its file system has one device for all its directories. */
static bool listed(const struct eci_mounts *mounts, int fd, uint32_t what, bool one)
{
	char up[3 * LEVELS + 1] = "";

	for (int level = 0; level < LEVELS; level++) {
		bool same = false;
		struct statx st;

		if (statx(fd, up, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0 || !S_ISDIR(st.stx_mode))
			return true;
		for (uint32_t i = 0; i < mounts->count; i++) {
			if (mounts->listed[i].dev != makedev(st.stx_dev_major, st.stx_dev_minor))
				continue;
			if (mounts->listed[i].ino == st.stx_ino && mounts->listed[i].what & what)
				return true;
			same = true;
		}
		if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT || (one && !same))
			return false;
		what &= ~(uint32_t)ECI_ABOVE_SOURCE;
		strcpy(up + 3L * level, "../");
	}
	return true;
}

/* Whether one end of the call may be what it is: nothing of the kernel's own, but for a procfs, and no rule is against it. */
static bool fit(const struct eci_lane *lane, const struct mounting *m, int fd, uint32_t what)
{
	long magic = eci_fs_magic(fd);
	bool one = magic == OVERLAYFS_SUPER_MAGIC || magic == EXT4_SUPER_MAGIC || magic == XFS_SUPER_MAGIC || magic == TMPFS_MAGIC;

	if (m->kind != ECI_NEW_PROC && (magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC))
		return false;
	return !(lane->mounts->judged & what && listed(lane->mounts, fd, what, one));
}

/* Both ends of the call, opened. */
bool eci_usual_ends(const struct eci_lane *lane, struct mounting *m)
{
	bool bind = m->kind == ECI_BIND || m->kind == ECI_BIND_ALL;

	m->fds[AT] = walk(m->fds[ROOT], m->target, bind ? 0 : O_DIRECTORY);
	m->fds[FROM] = m->fds[AT] < 0 || !bind ? -1 : walk(m->fds[ROOT], m->source, 0);
	return m->fds[AT] >= 0 && fit(lane, m, m->fds[AT], ECI_TARGET) &&
	       (!bind || (m->fds[FROM] >= 0 && fit(lane, m, m->fds[FROM], ECI_SOURCE | ECI_ABOVE_SOURCE)));
}

