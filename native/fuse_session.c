/* libeci-fuse.so: what pyfuse3 lacks for a file system that answers OPEN with ENOSYS.
 *
 * Once OPEN is answered ENOSYS the kernel never asks again, and every file handle is 0. pyfuse3 passes its read and write handlers the
 * file handle only, so they could not tell one node from another. Here the handle is the node id.
 *
 * When a node's attributes are over, each of its readers sends a GETATTR of its own before the first one is answered. The others get
 * that answer too, from here: a turn of Python's loop for each would cost as much as taking the sample.
 *
 * Loaded with RTLD_GLOBAL before pyfuse3, the functions here come first in the dynamic linker's search. They have no version,
 * which satisfies a reference to any: FUSE_3.0 of libfuse3.so.3, FUSE_3.17 of later ones. libfuse is a DT_NEEDED of this library,
 * so RTLD_NEXT finds the one pyfuse3 was linked against.
 */
#define FUSE_USE_VERSION 35

struct libfuse_version;				/* libfuse 3.17 defines it */

#include <dlfcn.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <string.h>
#include <time.h>

/* From 3.17 on the header makes this a macro that calls the versioned function. */
#undef fuse_session_new

struct fuse_session *fuse_session_new(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size, void *userdata);
struct fuse_session *fuse_session_new_versioned(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size,
						struct libfuse_version *version, void *userdata);

#define KEPT 16		/* answers: each inode has one place, and shares it with others */
#define MOST 64		/* requests in a row, before others of Python's loop get their turn */

static typeof(fuse_reply_attr) *real_reply_attr;	/* libfuse's own */
static typeof(fuse_session_receive_buf) *real_receive_buf;
unsigned long eci_fuse_answered;	/* requests of which Python hears nothing */
double eci_fuse_until;			/* the kernel may show a node's content that long, and one tick and a half more */
static struct { struct stat attr; double until; } answers[KEPT];
static int again;			/* the GETATTR being processed gets the answer that is kept */
static struct fuse_lowlevel_ops server_ops;	/* pyfuse3's own; it has one session a process */
static struct fuse_lowlevel_ops node_ops;	/* what libfuse gets: the same, but for those below */

/* Seconds, in the kernel's ticks, by which it counts what it keeps. */
static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int fuse_reply_attr(fuse_req_t req, const struct stat *attr, double life)
{
	int ret = real_reply_attr(req, attr, life);
	double until = now() + life;	/* asked now, since a tick may have begun meanwhile */

	answers[attr->st_ino % KEPT] = (typeof(*answers)){ *attr, until };
	if (S_ISREG(attr->st_mode) && life > 0 && until > eci_fuse_until)
		eci_fuse_until = until;
	return ret;
}

static void node_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (again)
		fuse_reply_attr(req, &answers[ino % KEPT].attr, answers[ino % KEPT].until - now());
	else
		server_ops.getattr(req, ino, fi);
}

static void node_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	fi->fh = ino;
	server_ops.read(req, ino, size, off, fi);
}

/* A refused write changes the attributes too, so that the kernel drops the written pages. */
static void node_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	answers[ino % KEPT].until = 0;
	fi->fh = ino;
	server_ops.write(req, ino, buf, size, off, fi);
}

int fuse_session_receive_buf(struct fuse_session *se, struct fuse_buf *buf)
{
	const struct fuse_in_header *request;
	int size = 0;

	/* A request can be taken back between poll(2) and read(2): the loop is not to wait for another one then. */
	fcntl(fuse_session_fd(se), F_SETFL, O_NONBLOCK);
	for (int i = 0; i < MOST; i++) {
		size = real_receive_buf(se, buf);
		if (size <= 0)
			break;
		request = buf->mem;
		again = request->opcode == FUSE_GETATTR && answers[request->nodeid % KEPT].attr.st_ino == request->nodeid &&
			answers[request->nodeid % KEPT].until > now();
		if (!again)
			return size;
		fuse_session_process_buf(se, buf);
		eci_fuse_answered++;
	}
	return size > 0 || size == -EAGAIN ? -EINTR : size;	/* upon -EINTR pyfuse3 waits for more */
}

/* The operations to hand to libfuse. Members this library was not built with are left out: the server does not have them either,
 * both are built with one header. */
static const struct fuse_lowlevel_ops *with_nodes(const struct fuse_lowlevel_ops *op, size_t op_size)
{
	real_reply_attr = (typeof(real_reply_attr))dlsym(RTLD_NEXT, "fuse_reply_attr");
	real_receive_buf = (typeof(real_receive_buf))dlsym(RTLD_NEXT, "fuse_session_receive_buf");
	memcpy(&server_ops, op, op_size < sizeof(server_ops) ? op_size : sizeof(server_ops));
	node_ops = server_ops;
	node_ops.getattr = node_getattr;
	node_ops.read = node_read;
	node_ops.write = node_write;
	node_ops.write_buf = NULL;	/* with it libfuse takes every request through a pipe */
	return &node_ops;
}

struct fuse_session *fuse_session_new(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size, void *userdata)
{
	/* Where a later version is the default one, this is the one that takes four arguments. */
	typeof(fuse_session_new) *real = (typeof(real))dlvsym(RTLD_NEXT, "fuse_session_new", "FUSE_3.0");

	if (!real)
		real = (typeof(real))dlsym(RTLD_NEXT, "fuse_session_new");
	return real ? real(args, with_nodes(op, op_size), sizeof(node_ops), userdata) : NULL;
}

struct fuse_session *fuse_session_new_versioned(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size,
						struct libfuse_version *version, void *userdata)
{
	typeof(fuse_session_new_versioned) *real = (typeof(real))dlsym(RTLD_NEXT, "fuse_session_new_versioned");

	return real ? real(args, with_nodes(op, op_size), sizeof(node_ops), version, userdata) : NULL;
}
