/* Mounts that the serving threads make themselves (lane.c, usual.c). Lanes are sockets into which the mounter puts procfs trees, and contexts
 * of a tmpfs, ahead of time, and from which the threads take them. */
#ifndef ECI_LANE_H
#define ECI_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "eci.h"

enum { REMEMBERED = 16 };

/* What goes along with a tree: whose it is. */
struct spare {
	uint64_t ns[4];		/* inodes of the container's: of user, mount, pid and network */
	uint32_t root;		/* its uid and gid 0, as the host counts */
	char label[128];		/* the mounter's LSM label, "" where there is none */
};

/* One serving thread's end of them. */
struct eci_lane {
	const struct eci_mounts *mounts;
	int procfs, mnt;	/* /proc, for a path is the container's once we live there; the mount namespace we live in */
	int proc, user;		/* /proc/TID of the last caller, and the link to its user namespace */
	struct lane_spare {
		int fd;		/* taken and not used yet, or -1 */
		bool taken;	/* and the mounter does not know */
	} spares[ECI_SPARES];
	bool unprivileged;	/* our access to files is container root's */
	bool inside;		/* we live in the container's mount namespace */
	uint32_t tid, uid;	/* the last caller's */
	uint64_t groupless;	/* the user namespace in which it was seen without groups, or 0 */
	struct spare whose;
	struct made {		/* a thread's last mount; left_ns: since then the mounter is asked for it, mount_id is of the one before */
		uint64_t ip, args[6], received_ns, left_ns, mount_id;
		uint32_t tid;
	} made[REMEMBERED];	/* by its number */
};

/* A call that is usual, and what of it has been opened: the caller's root and mount namespace unless they are ours, source, target. */
enum { ROOT, MNT, FROM, AT, ENDS };
struct mounting {
	enum eci_mounting kind;
	const char *source, *target, *options;
	int fds[ENDS];
};
enum { ECI_OPTION = 64 };	/* bytes of one of a tmpfs, with its NUL */
bool eci_usual_call(const struct eci_lane *lane, struct eci_call *call, struct mounting *m);
bool eci_usual_caller(struct eci_lane *lane, uint32_t tid, struct mounting *m);
bool eci_usual_ends(const struct eci_lane *lane, struct mounting *m);

int eci_lane_open(struct eci_lane *lane, const struct eci_mounts *mounts);
void eci_lane_close(struct eci_lane *lane);
void eci_lane_moved_on(struct eci_lane *lane, const struct eci_call *call);
/* What became of a call here: nothing, it is mounted and the caller knows, the kernel goes on with it; or -ENOENT. */
enum { LEFT, MADE, GOES_ON };
int eci_lane_mount(struct eci_lane *lane, int notify_fd, struct eci_call *call);
void eci_lane_rest(struct eci_lane *lane);

#endif
