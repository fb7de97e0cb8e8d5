/* eci-mounter: the privileged half of a supervisor. It makes locked procfs and sysfs trees and acts for a caller in the caller's
 * namespaces. One thread; what leads into a container is done by a short-lived child (join.c) with a deadline.
 *
 * Some facts that shape it:
 * - Copying a mount namespace into another user namespace is what locks mounts. The copy is owned by the container's user namespace, and
 *   who has CAP_SYS_ADMIN there can find it by NS_MNT_GET_NEXT (6.12) and enter it. So what is copied (the stage) holds a bare tmpfs and
 *   the tree being built, never our own procfs or the FUSE mount as a whole: those are in another namespace (home).
 * - Both are owned by the initial user namespace, which is what allows a fresh procfs there at all (mount_too_revealing).
 * - The children share our memory, and our file table until they become somebody else: a descriptor made before is ours.
 */
#ifndef ECI_MOUNTER_H
#define ECI_MOUNTER_H

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "eci.h"
#include "lane.h"

enum { RECORDS_MAX = 1024, MAX_ENTRIES = 1024, MAX_GROUPS = 1024, MAX_LEVELS = 33 /* MAX_PID_NS_LEVEL + 1 */ };
enum { FSCONFIG_FLAG, FSCONFIG_STRING, FSCONFIG_FD = 5, FSCONFIG_CREATE };	/* linux/mount.h, which clashes with sys/mount.h */

#define cleanup_fd __attribute__((cleanup(eci_close)))

static inline void eci_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* The result of a system call, -errno if it failed. */
static inline int result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static inline int eci_open_below(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

	return result(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

/* The number of the mount that fd is the root of, used once where the kernel has such (6.8); 0 if it is the root of none. */
static inline uint64_t eci_mount_id(int fd)
{
	struct statx st;
	int ret = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID | 0x4000 /* MNT_ID_UNIQUE */, &st);

	return ret == 0 && st.stx_attributes & STATX_ATTR_MOUNT_ROOT ? st.stx_mnt_id : 0;
}

/* What is mounted on top of the directory we stand in, which is where umount2(2) would step up to: for us only a name does that, so it is
 * the one the place has now. */
static inline int eci_top(uint64_t resolve)
{
	char path[PATH_MAX];

	return syscall(SYS_getcwd, path, sizeof(path)) < 0 ? -errno : eci_open_below(AT_FDCWD, path, O_PATH, resolve | RESOLVE_NO_SYMLINKS);
}

/* Takes off again what was mounted, from within its mount namespace. No call takes a mount away from under another: if somebody has put one
 * there meanwhile, ours stays below it. */
static inline int eci_take_off(int tree)
{
	int ret = result(fchdir(tree));
	cleanup_fd int top = ret < 0 ? -1 : eci_top(RESOLVE_CACHED);

	if (ret < 0 || (top >= 0 && eci_mount_id(top) != eci_mount_id(tree)))
		return ret < 0 ? ret : -EBUSY;
	return result(umount2(".", MNT_DETACH));
}

/* ---- One packet from Python: a header and `count` records: a 32-bit `what`, an enum cover or operation or late, and two strings, each with
 * its NUL. mounts/wire.py says the same; both check the sizes. ---- */

enum request_kind { REQUEST_PLAN = 1, REQUEST_CONTAINER, REQUEST_ATTACH, REQUEST_PROVE, REQUEST_EMULATE };
enum tree_kind { TREE_PROC, TREE_SYSFS, TREES };
/* A tunable is a node of the other FUSE superblock, and no more than a node once it is open. */
enum cover { COVER_READONLY = 1, COVER_NODE, COVER_MASK, COVER_SELF, COVER_TUNABLE };
enum operation { OP_MOUNT_TREE = 1, OP_REMOUNT_BIND, OP_REMOUNT_SUPERBLOCK, OP_UMOUNT_TREE, OP_BIND, OP_OPEN_TREE, OP_SET_ATTRIBUTES,
		 OP_RECONFIGURE, OP_FSOPEN, OP_FSMOUNT, OP_MOUNT_NEW, OP_RESOLVE, OP_MOVE, OP_MAKE_NODE, OP_COPY, OPERATIONS };
/* The records of REQUEST_ATTACH: the first one is the path of the rootfs; then sysctls, by path and value, and binds, by source and
 * destination. */
enum late { LATE_SYSCTL = 1, LATE_BIND };
/* Where OP_RESOLVE puts the mount table, and what the records 1, 2 ... lead to, until the next request but the one for the same call. */
enum { HELD = 512, HELD_LAST = HELD + 399, FOLLOW = 1, OF_CALLER = 2 /* times a descriptor of its, from 1 on */ };
enum { COPIED = UINT16_MAX };	/* says `clear`, of what is held: it is the copy */
enum { REPLY_NOT_TREE = 1, REPLY_UNDONE = 2 };

struct request {
	uint32_t kind, tree;
	uint64_t id, flags;
	uint32_t pid, count;
	int32_t fd;			/* of the caller: a context, or the directory of a path; below 0: none */
	uint32_t held;			/* paths are numbers of what is held, nothing is handed back; above 1: 1 + errno, the answer */
	uint64_t set, clear, propagation;	/* struct mount_attr; fsmount(2) has a set; of a mount it is what the same call made before, and
					 * clear that a copy is of one mount alone; above 1: 1 + errno, where the kernel says EINVAL */
};

struct reply {
	int32_t error;			/* 0 or -errno */
	uint32_t flags, uid, pid;	/* of the caller: host ids */
	uint64_t mount_id;		/* of what a mount has made and stands, also if the same call did so before; or 0 */
	char what[48];			/* what the error is about */
};
_Static_assert(sizeof(struct request) == 64 && sizeof(struct reply) == 72, "mounts/wire.py");

/* ---- State ---- */

enum ns { NS_USER, NS_MNT, NS_PID, NS_NET, NS_IPC, NS_UTS, NS_CGROUP, NAMESPACES };

struct plan {
	struct entry {
		char path[256];
		enum cover cover;
		bool is_dir;		/* of a mask: what the path was last time */
		int node;		/* O_PATH, of a NODE; else -1 */
	} entries[MAX_ENTRIES];
	unsigned int count;
	bool read_only;
};

extern struct mounter {
	struct plan plans[TREES];
	int ns[NAMESPACES], init, init_root;	/* of the container; O_PATH of /proc/INIT and of its root */
	struct place { uint64_t mount_id, dev; bool mount_root, directory, regular, link; } first[TREES];
	int home, stage, home_pid, home_net;	/* namespaces of ours */
	int proc, nodes, socket;		/* O_PATH of our procfs and of the directory of the FUSE mounts; the supervisor */
	uint64_t nodes_dev, tunables_dev, masks_dev;
	bool has_pidns;				/* procfs takes pidns= */
	bool wants_tmpfs;			/* the container's admin has rules for mounts */
	bool is_new;				/* the container: its runtime goes on in a moment */
	struct spare spare;
} eci;

/* The blocked thread: descriptors taken once, before ID_VALID, and used ever after; ids and capabilities as the host counts them. */
struct caller {
	int notify, proc, root, cwd, ns[NAMESPACES];
	uint64_t id, caps;
	uint32_t tid, parent, uid[4], gid[4], groups[MAX_GROUPS];	/* real, effective, saved, file system */
	int ngroups, levels;					/* of pid namespaces, from ours down to its own */
	uint32_t tgid_in[MAX_LEVELS], tid_in[MAX_LEVELS];
	int own_nr, own_fd;					/* the last of its descriptors that a path led to, taken by us */
	bool own_thread, held;
};

typedef const char *const (*strings_t)[2];

/* A call in hand. strings[0] are the path and the options, or the source, or of fsopen(2) a type; strings[1] source
 * and type of OP_MOUNT_NEW; the others are where a procfs or sysfs may be mounted. */
struct action {
	struct caller *caller;
	const struct request *request;
	enum operation op;
	strings_t strings;
	const uint32_t *what;	/* of OP_RESOLVE */
	size_t count;
	int tree;		/* detached, or why there is none */
	int out;		/* what the caller is given */
	int context;		/* its own, of fsmount(2) */
	unsigned int networks;	/* how many others the walk has been tried from */
	int resolved;		/* records of OP_RESOLVE */
	bool attached, not_tree, given;
};

/* notify.c, beside what eci.h has */
bool eci_read_text(int dir, const char *path, char *text, size_t size);
bool eci_same_label(int proc, const char *ours);
ssize_t eci_receive(int socket, void *buffer, size_t size, int *fd);

/* join.c: children, and who they become */
int eci_in_child(int (*run)(void *arg), void *arg, bool newborn);
int eci_ask(const struct caller *caller, int fd);
void eci_child_ready(void);
int eci_open_namespaces(int proc, int *ns, unsigned int which);
int eci_numbers(const char *status, const char *key, uint32_t *to, int room);
int eci_look(struct caller *caller, unsigned int which);
void eci_forget(struct caller *caller);
int eci_own_table(const struct caller *caller);
int eci_become(const struct caller *caller);

/* tree.c: superblocks, the stage, locks */
enum { BATCH = 4 };
int eci_tree(enum tree_kind kind, const struct caller *caller, strings_t options, int count, uint64_t attributes);
int eci_context(enum tree_kind kind, const int *ns, const struct caller *as, strings_t options, int count);
int eci_trees_of(const int *contexts, int count, uint64_t attributes, int net, int *trees);
int eci_tree_of(int context, uint64_t attributes, int net);
int eci_attributes(int mount, const char *path, uint64_t set, uint64_t clear, unsigned int at_flags);
void eci_clear_stage(void);

/* first.c: what is done once for a container */
int eci_become_container_root(void);
int eci_attach_first(const uint32_t *what, strings_t strings, size_t count, struct reply *reply);
int eci_prove(struct reply *reply);

/* walk.c: where a path of the caller leads */
/* Beyond every errno: walk again with caller->own_nr, taken for us; from another network namespace. */
enum { WANT_OWN_FD = 4096, WANT_START, WANT_NETWORK, OTHER_NETWORKS = 2 };
int eci_walk(struct caller *caller, const char *path, bool follow);
int eci_walk_from(struct caller *caller, int number, const char *path, bool follow);
int eci_place(int fd, struct place *place);

/* existing.c, copies.c, for children: 0 or -errno, or nothing was done and it is no tree; take, kind: what they are called for */
int eci_act_on_tree(void *action);
int eci_reconfigure(void *action);
void eci_reconcile(int tree, bool was_read_only);
enum tree_kind eci_kind(int mount);
int eci_bind(void *action);
int eci_open_tree(void *action);
int eci_take(const struct action *action);
int eci_fsopen(struct action *action);
int eci_fsmount(struct action *action);
int eci_give(struct action *action);

/* emulate.c */
int eci_set_flags(int tree, uint64_t attributes);
void eci_emulate(const struct request *request, int *notify, const uint32_t *what, strings_t strings, struct reply *reply);

#endif
