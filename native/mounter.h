/* eci-mounter: the privileged half of a supervisor. It makes locked procfs and sysfs trees and acts for a caller in the caller's
 * namespaces. One thread; everything that leads into a container is done by a short-lived child (join.c) with a deadline.
 *
 * Some facts that shape it:
 * - Copying a mount namespace into another user namespace is what locks mounts. That copy is owned by the container's user namespace,
 *   and whoever has CAP_SYS_ADMIN there can find it by NS_MNT_GET_NEXT (6.12) and enter it. So what is copied (the stage) holds a bare
 *   tmpfs and the tree being built, never our own procfs or the FUSE mount as a whole: those are in another namespace (home).
 * - Both are owned by the initial user namespace, which is what allows a fresh procfs there at all (mount_too_revealing).
 * - The children share our memory and file table: a descriptor made by one is ours, and nothing needs passing.
 */
#ifndef ECI_MOUNTER_H
#define ECI_MOUNTER_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

enum { CHILD_DEADLINE_MS = 2000, MAX_ENTRIES = 256, MAX_GROUPS = 1024, MAX_LEVELS = 33 /* MAX_PID_NS_LEVEL + 1 */ };

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

/* ---- What Python sends: one packet, a header and `count` records. mounts/wire.py says the same, and both check the sizes. ---- */

enum request_kind { REQUEST_PLAN = 1, REQUEST_CONTAINER, REQUEST_SYSCTLS, REQUEST_ATTACH, REQUEST_PROVE, REQUEST_EMULATE };
enum tree_kind { TREE_PROC, TREE_SYSFS, TREES };
enum cover { COVER_READONLY = 1, COVER_NODE, COVER_MASK, COVER_SELF };
enum operation { OP_MOUNT_TREE = 1, OP_REMOUNT_BIND, OP_REMOUNT_SUPERBLOCK, OP_UMOUNT_TREE };

struct request {
	uint32_t kind, tree;
	uint64_t id, flags;
	uint32_t pid, count;
};
_Static_assert(sizeof(struct request) == 32, "mounts/wire.py: REQUEST");

/* Followed by both strings, each with its NUL, which the lengths count. `what` is an enum cover or an enum operation. */
struct record {
	uint32_t what, first_len, second_len;
};
_Static_assert(sizeof(struct record) == 12, "mounts/wire.py: RECORD");

enum { REPLY_NOT_TREE = 1, REPLY_UNDONE = 2 };

struct reply {
	int32_t error;		/* 0 or -errno */
	uint32_t flags;
	uint32_t uid, pid;	/* of the caller: host ids */
	char what[48];		/* what the error is about */
};
_Static_assert(sizeof(struct reply) == 64, "mounts/wire.py: REPLY");

/* ---- State ---- */

struct entry {
	char path[256];
	enum cover cover;
	bool is_dir;		/* of a mask: what the path was last time */
	int node;		/* O_PATH, of a NODE */
};

struct plan {
	struct entry entries[MAX_ENTRIES];
	unsigned int count;
	bool read_only;
};

struct namespaces {
	int user, mnt, pid, net, ipc, uts;
};

struct mounter {
	struct plan plans[TREES];
	struct namespaces container;
	int init, init_root;			/* O_PATH of /proc/INIT and of its root */
	struct { uint64_t mount_id, dev; } first[TREES];
	int home, stage, home_pid, home_net;	/* namespaces of ours */
	int proc, nodes, home_root;		/* O_PATH of our procfs, of the FUSE mount's root, of our tmpfs */
	uint64_t nodes_dev, masks_dev;
	bool has_pidns;				/* procfs takes pidns= */
	char label[128];			/* our LSM label, "" where there is none */
};

extern struct mounter eci;

/* The blocked thread: descriptors taken once, before ID_VALID, and used ever after. */
struct caller {
	int notify, proc, root, cwd;
	struct namespaces ns;
	uint64_t id, caps;
	pid_t tid, tgid;
	uid_t uid[4];				/* real, effective, saved, file system; of the host */
	gid_t gid[4];
	gid_t groups[MAX_GROUPS];
	size_t ngroups;
	int levels;				/* pid namespaces from ours down to its own */
	pid_t tgid_in[MAX_LEVELS], tid_in[MAX_LEVELS];
	int own_nr, own_fd;			/* the last of its descriptors that a path led to, taken by us */
	bool own_thread;
};

/* join.c: children, and who they become */
int eci_in_child(int (*run)(void *arg), void *arg);
int eci_look(struct caller *caller, bool with_net);
void eci_forget(struct caller *caller);
int eci_id_valid(const struct caller *caller);
int eci_take_ids(const struct caller *caller);
int eci_enter(const struct caller *caller);
int eci_open_namespaces(int proc, struct namespaces *ns, const char *which);

/* tree.c: superblocks, the stage, locks */
int eci_superblock(enum tree_kind kind, const struct namespaces *ns, const struct caller *as, const char *options);
int eci_stage_tree(enum tree_kind kind, int context, uint64_t attributes);
int eci_clone_locked(void);
void eci_clear_stage(void);
int eci_attributes(int mount, uint64_t set, uint64_t clear, unsigned int at_flags);

/* first.c: what is done once for a container */
int eci_attach_first(const char *rootfs, bool cgroup, const char *const (*late)[2], size_t count, struct reply *reply);
int eci_write_sysctls(const char *const (*values)[2], size_t count, struct reply *reply);
int eci_prove(struct reply *reply);

/* walk.c: where a path of the caller leads, and what lies below it */
enum { WANT_OWN_FD = 4096 };	/* beyond every errno: take caller->own_nr for us and walk again */
struct place {
	uint64_t mount_id, dev;
	bool mount_root, directory, regular;
};
int eci_walk(struct caller *caller, const char *path, bool follow);
int eci_place(int fd, struct place *place);
int eci_tree_at(int fd, const struct place *place);

/* emulate.c */
void eci_emulate(const struct request *request, int notify, enum operation op, const char *target, const char *options,
		 struct reply *reply);

#endif
