/* The lane: a socket into which the mounter puts procfs trees ahead of time, and from which the serving threads take them (lane.c). */
#ifndef ECI_LANE_H
#define ECI_LANE_H

#include <stdbool.h>
#include <stdint.h>

enum { REMEMBERED = 16 };

/* What goes along with a tree: whose it is. */
struct spare {
	uint64_t ns[4];		/* inodes of the container's: of user, mount, pid and network */
	uint32_t root;		/* its uid and gid 0, as the host counts */
	char label[128];		/* the mounter's LSM label, "" where there is none */
};

/* One serving thread's end of it. */
struct eci_lane {
	int fd, home, mnt;	/* the socket, borrowed, -1 if there is none; mount namespaces: ours, the container's (-1: not known) */
	int tree;		/* taken and not used yet, or -1 */
	bool taken;		/* and the mounter does not know */
	bool unprivileged;	/* our access to files is container root's */
	uint32_t uid;		/* the last caller's */
	struct spare whose;
	struct made {		/* a thread's last mount; mount_id 0: the mounter was asked for it */
		uint64_t ip, args[6], received_ns, mount_id;
		uint32_t tid;
	} made[REMEMBERED];	/* by its number */
};

struct eci_call;
int eci_lane_open(struct eci_lane *lane, int fd);
void eci_lane_close(struct eci_lane *lane);
void eci_lane_moved_on(struct eci_lane *lane, const struct eci_call *call);
int eci_lane_mount(struct eci_lane *lane, int notify_fd, struct eci_call *call);
void eci_lane_rest(struct eci_lane *lane);

#endif
