/* eci-mounter SOCKET LANE LANE NODES: where it starts, and the loop that takes requests, checks them again and hands them on.
 *
 * Its sender parses hostile input, so nothing of a request is believed: sizes, terminators, kinds and order are tested here, and each
 * operation says where it is carried out why it cannot hurt the host. A packet that does not pass is answered EBADMSG and changes nothing.
 */
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mounter.h"

enum { PACKET_MAX = 128 * 1024, IDLE_MS = 10, NEW_MS = 50, PUT_OFF = 8 /* requests */ };
enum { PLAIN = MS_NOSUID | MS_NODEV | MS_NOEXEC };	/* the numbers of MOUNT_ATTR_* */

struct mounter eci = { .init = -1 };

/* ---- start ---- */

static void must(bool done, const char *what)
{
	if (done)
		return;
	fprintf(stderr, "eci-mounter: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A small tmpfs as our root: what we can reach is what we need. `nodes`, a clone that is ours, has the FUSE mounts below it. */
static void make_home(int nodes)
{
	cleanup_fd int file = -1;

	must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "a mount namespace of our own");
	must(mount("none", "/proc", "tmpfs", PLAIN, NULL) == 0 && chdir("/proc") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
	     umount2(".", MNT_DETACH) == 0 && chdir("/") == 0, "a root of our own");
	must(chmod("/", 0755) == 0 && mkdir("/proc", 0555) == 0 && mkdir("/nodes", 0555) == 0 && mkdir("/tree", 0555) == 0 &&
	     mkdir("/directory", 0555) == 0 && (file = open("/file", O_CREAT | O_CLOEXEC, 0444)) >= 0, "what is in it");
	must(mkdir("/tree/0", 0555) == 0 && mkdir("/tree/1", 0555) == 0 && mkdir("/tree/2", 0555) == 0 && mkdir("/tree/3", 0555) == 0,
	     "places for trees");
	must(mount("proc", "/proc", "proc", PLAIN, NULL) == 0, "a procfs of our own");
	must(eci_attributes(nodes, "", PLAIN, 0, AT_RECURSIVE) == 0 && move_mount(nodes, "", AT_FDCWD, "/nodes", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
	     close(nodes) == 0, "nodes");
	must(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | PLAIN, NULL) == 0, "a read-only root");
}

/* The stage is home without procfs and nodes. Then what this kernel offers, by trying. `without_pidns`: as before 6.18, for tests. */
static void make_stage(bool without_pidns)
{
	cleanup_fd int context = -1, root = -1;
	struct place masks;

	eci.home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	eci.home_pid = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	eci.home_net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	must(eci.home >= 0 && unshare(CLONE_NEWNS) == 0, "the stage");
	eci.stage = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	must(eci.stage >= 0 && umount2("/proc", MNT_DETACH) == 0 && umount2("/nodes", MNT_DETACH) == 0, "the stage");
	must(setns(eci.home, CLONE_NEWNS) == 0, "home");
	eci.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	eci.nodes = open("/nodes", O_PATH | O_DIRECTORY | O_CLOEXEC);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(eci.proc >= 0 && eci.nodes >= 0 && eci_place(root, &masks) == 0, "what is at home");
	eci.masks_dev = masks.dev;
	context = fsopen("proc", FSOPEN_CLOEXEC);
	eci.has_pidns = !without_pidns && fsconfig(context, FSCONFIG_FD, "pidns", NULL, eci.home_pid) == 0;
	eci_read_text(eci.proc, "self/attr/current", eci.spare.label, sizeof(eci.spare.label));
}

/* ---- requests ---- */

struct packet {
	const struct request *request;
	const char *strings[RECORDS_MAX][2];
	uint32_t what[RECORDS_MAX];
	int fd;			/* the one descriptor that may come along, or -1 */
};

static int parse(struct packet *packet, const char *buffer, size_t size)
{
	const char *at = buffer + sizeof(struct request), *end = buffer + size;

	packet->request = (const struct request *)buffer;
	if (size < sizeof(struct request) || packet->request->count > RECORDS_MAX || packet->request->tree >= TREES)
		return -EBADMSG;
	for (uint32_t i = 0; i < packet->request->count; i++) {
		if ((size_t)(end - at) < sizeof(packet->what[i]))
			return -EBADMSG;
		memcpy(&packet->what[i], at, sizeof(packet->what[i]));
		at += sizeof(packet->what[i]);
		for (int j = 0; j < 2; j++) {
			packet->strings[i][j] = at;
			at = memchr(at, 0, (size_t)(end - at));
			if (!at++)
				return -EBADMSG;
		}
	}
	return at == end ? 0 : -EBADMSG;
}

/* A path of a tree: relative, and it stays below. */
static bool inner_path(const char *path)
{
	char slashed[sizeof(eci.plans[0].entries[0].path) + 2];

	if (!*path || *path == '/' || snprintf(slashed, sizeof(slashed), "/%s/", path) >= (int)sizeof(slashed))
		return false;
	return !strstr(slashed, "/../") && !strstr(slashed, "/./") && !strstr(slashed, "//");
}

/* Opens the nodes and keeps them. Cannot hurt the host: they are files of our own FUSE mounts; what is covered is decided later. */
static int plan(const struct packet *packet, struct reply *reply)
{
	const struct request *request = packet->request;
	struct plan *to = &eci.plans[request->tree];

	if (!request->count || request->count > MAX_ENTRIES)
		return -EBADMSG;
	for (; to->count; to->count--)
		eci_close(&to->entries[to->count - 1].node);
	to->read_only = request->flags & 1;
	for (; to->count < request->count; to->count++) {
		struct entry *entry = &to->entries[to->count];
		const char *path = packet->strings[to->count][0];
		char node[sizeof(entry->path) + 16];
		bool tunable = packet->what[to->count] == COVER_TUNABLE;
		struct place place;

		snprintf(reply->what, sizeof(reply->what), "%s", path);
		*entry = (struct entry){ .cover = tunable ? COVER_NODE : packet->what[to->count], .node = -1 };
		if (!inner_path(path) || entry->cover < COVER_READONLY || entry->cover > COVER_SELF)
			return -EBADMSG;
		strcpy(entry->path, path);
		snprintf(node, sizeof(node), "%s/%s/%s", tunable ? "tunables" : "nodes", request->tree == TREE_PROC ? "proc" : "sys", path);
		if (entry->cover != COVER_NODE)
			continue;
		entry->node = openat(eci.nodes, node, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (entry->node < 0 || eci_place(entry->node, &place) < 0)
			return -errno;
		*(tunable ? &eci.tunables_dev : &eci.nodes_dev) = place.dev;
	}
	return 0;
}

/* Takes hold of a container by its init, once. Cannot hurt the host: descriptors are opened, nothing is entered. */
static int container(const struct request *request)
{
	char path[16], text[64];
	struct stat st;
	int ret;

	if (eci.init >= 0 || !request->pid)
		return -EBADMSG;
	eci.wants_tmpfs = request->flags & 1;
	snprintf(path, sizeof(path), "%u", request->pid);
	ret = eci.init = result(openat(eci.proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (ret >= 0)
		ret = eci.init_root = result(openat(eci.init, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (ret >= 0)
		ret = eci_open_namespaces(eci.init, eci.ns, (1U << NAMESPACES) - 1);
	for (int i = NS_USER; i <= NS_NET && ret >= 0; i++) {
		ret = result(fstat(eci.ns[i], &st));
		eci.spare.ns[i] = st.st_ino;
	}
	if (!eci_read_text(eci.init, "uid_map", text, sizeof(text)) || sscanf(text, " 0 %u", &eci.spare.root) != 1)
		eci.spare.root = 0;	/* then there is nobody to put trees into the lane for */
	return ret;
}

static int carry_out(struct packet *packet, struct reply *reply)
{
	const struct request *request = packet->request;
	strings_t strings = (strings_t)packet->strings;

	if (request->kind > REQUEST_CONTAINER && (eci.init < 0 || !eci.plans[TREE_PROC].count || !eci.plans[TREE_SYSFS].count))
		return -EBADMSG;
	switch (request->kind) {
	case REQUEST_PLAN:
		return plan(packet, reply);
	case REQUEST_CONTAINER:
		return container(request);
	case REQUEST_ATTACH:
		if (!request->count || *strings[0][0] != '/')
			return -EBADMSG;
		for (uint32_t i = 1; i < request->count; i++)
			if (packet->what[i] == LATE_SYSCTL ? !inner_path(strings[i][0]) : packet->what[i] != LATE_BIND || *strings[i][1] != '/')
				return -EBADMSG;
		eci.is_new = true;
		return eci_attach_first(packet->what, strings, request->count, reply);
	case REQUEST_PROVE:
		return eci_prove(reply);
	case REQUEST_EMULATE:
		if (!request->count || packet->fd < 0 || !request->pid || packet->what[0] < OP_MOUNT_TREE || packet->what[0] >= OPERATIONS ||
		    (packet->what[0] == OP_MOUNT_NEW && request->count != 2))
			return -EBADMSG;
		eci_emulate(request, &packet->fd, packet->what, strings, reply);
		return reply->error;
	}
	return -EBADMSG;
}

/* False: the other side is gone. */
static bool serve_one(int socket)
{
	static char buffer[PACKET_MAX] __attribute__((aligned(16)));
	static struct packet packet;
	ssize_t size = eci_receive(socket, buffer, PACKET_MAX, &packet.fd);
	struct reply reply = { 0 };
	int ret;

	if (size <= 0)
		return false;
	ret = parse(&packet, buffer, (size_t)size);
	reply.error = ret < 0 ? ret : carry_out(&packet, &reply);
	if (reply.error == 0)
		reply.what[0] = 0;
	eci_close(&packet.fd);
	return send(socket, &reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply);
}

/* Contexts of a tmpfs as container root opens them: a superblock belongs to the user namespace, and to the ids, of who has opened it. */
static int open_contexts(void *opaque)
{
	int *contexts = opaque, ret = 0;

	if (setns(eci.ns[NS_USER], CLONE_NEWUSER) < 0 || setns(eci.ns[NS_MNT], CLONE_NEWNS) < 0)
		return -errno;
	ret = eci_become_container_root();
	for (int i = 0; i < BATCH && ret >= 0; i++)
		ret = contexts[i] = result(fsopen("tmpfs", FSOPEN_CLOEXEC));
	return ret;
}

/* Trees of the container's own pid namespace. */
static int make_trees(int *trees)
{
	int contexts[BATCH], ret;

	for (int i = 0; i < BATCH; i++)
		contexts[i] = eci_context(TREE_PROC, eci.ns, NULL, NULL, 0);
	ret = eci_trees_of(contexts, BATCH, 0, eci.ns[NS_NET], trees);
	for (int i = 0; i < BATCH; i++)
		eci_close(&contexts[i]);
	return ret;
}

/* Fills a lane, for the serving thread that asks first (lane.c). How many. */
static int offer(int lane, enum eci_spare what)
{
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {
		.header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { .iov_base = &eci.spare, .iov_len = sizeof(eci.spare) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int spares[BATCH] = { -1, -1, -1, -1 }, sent = 0, ret = -1;

	if (eci.spare.root && what == ECI_SPARE_PROC)
		ret = make_trees(spares);
	else if (eci.spare.root && eci.wants_tmpfs)
		ret = eci_in_child(open_contexts, spares, false);
	if (ret == -EIO)	/* a child that did not end in time may still write there */
		return 0;
	for (int i = 0; i < BATCH; eci_close(&spares[i++])) {
		memcpy(CMSG_DATA(&control.header), &spares[i], sizeof(int));
		sent += spares[i] >= 0 && sendmsg(lane, &message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
	}
	return sent;
}

/* What the next caller would have to wait for is done when nobody waits, or when there is always somebody; of a new container, when its
 * runtime has done. A byte in a lane: one of what is there was taken. */
static int serve(int socket, const int *lanes)
{
	struct pollfd fds[] = { { .fd = lanes[0], .events = POLLIN }, { .fd = lanes[1], .events = POLLIN }, { .fd = socket, .events = POLLIN } };
	int there[ECI_SPARES] = { 0 }, put_off = 0;
	bool due = true;

	while (poll(fds, 3, due && eci.init >= 0 ? eci.is_new ? NEW_MS : IDLE_MS : -1) >= 0) {
		for (int i = 0; i < ECI_SPARES; i++) {
			char taken;
			ssize_t n = fds[i].revents ? recv(lanes[i], &taken, 1, MSG_DONTWAIT) : 0;

			if (fds[i].revents && n <= 0)
				return 1;
			there[i] -= (int)n;
			due = due || there[i] <= BATCH / 2;
		}
		put_off = fds[ECI_SPARES].revents ? put_off + 1 : PUT_OFF;
		if (fds[ECI_SPARES].revents && !serve_one(socket))
			return 1;
		if (due && eci.init >= 0 && put_off >= PUT_OFF) {
			for (enum eci_spare i = 0; i < ECI_SPARES; i++)
				there[i] += there[i] <= BATCH / 2 ? offer(lanes[i], i) : 0;
			due = eci.is_new = false;
			put_off = 0;
		}
		eci_clear_stage();
		eci_child_ready();
	}
	return 1;
}

int main(int argc, char **argv)
{
	int fds[4] = { -1, -1, -1, -1 };	/* SOCKET, both lanes, NODES */
	sigset_t all;

	must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0, "prctl");
	/* Children change ids while they still need our capabilities: until they have joined a user namespace. */
	must(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) == 0, "PR_SET_SECUREBITS");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGCHLD, SIG_IGN);
	umask(0);
	for (int i = 0; i < 4 && argc > 4; i++)
		must((fds[i] = atoi(argv[i + 1])) >= 0 && fcntl(fds[i], F_SETFD, FD_CLOEXEC) == 0, "SOCKET LANE LANE NODES");
	must(argc > 4, "usage: eci-mounter SOCKET LANE LANE NODES");
	eci.socket = fds[0];
	make_home(fds[3]);
	make_stage(argc > 5 && !strcmp(argv[5], "without-pidns"));
	must(send(eci.socket, &(struct reply){ 0 }, sizeof(struct reply), MSG_NOSIGNAL) == sizeof(struct reply), "ready");
	return serve(eci.socket, fds + 1);
}
