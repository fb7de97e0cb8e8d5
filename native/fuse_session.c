/* libeci-fuse.so: what pyfuse3 lacks for a file system that answers OPEN with ENOSYS.
 *
 * Once OPEN is answered ENOSYS the kernel never asks again, and every file handle is 0. pyfuse3 passes its read and write handlers the
 * file handle only, so they could not tell one node from another. Here the handle is the node id.
 *
 * Loaded with RTLD_GLOBAL before pyfuse3, the functions here come first in the dynamic linker's search. They have no version,
 * which satisfies a reference to any: FUSE_3.0 of libfuse3.so.3, FUSE_3.17 of later ones. libfuse is a DT_NEEDED of this library,
 * so RTLD_NEXT finds the one pyfuse3 was linked against.
 */
#define FUSE_USE_VERSION 35

struct libfuse_version;				/* libfuse 3.17 defines it */

#include <dlfcn.h>
#include <fuse_lowlevel.h>
#include <string.h>

/* From 3.17 on the header makes this a macro that calls the versioned function. */
#undef fuse_session_new

struct fuse_session *fuse_session_new(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size, void *userdata);
struct fuse_session *fuse_session_new_versioned(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size,
						struct libfuse_version *version, void *userdata);

typedef struct fuse_session *session_new_fn(struct fuse_args *, const struct fuse_lowlevel_ops *, size_t, void *);
typedef struct fuse_session *session_new_versioned_fn(struct fuse_args *, const struct fuse_lowlevel_ops *, size_t,
						      struct libfuse_version *, void *);

static struct fuse_lowlevel_ops server_ops;	/* pyfuse3's own; it has one session a process */
static struct fuse_lowlevel_ops node_ops;	/* what libfuse gets: the same, but for the three below */

static void node_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	fi->fh = ino;
	server_ops.read(req, ino, size, off, fi);
}

static void node_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	fi->fh = ino;
	server_ops.write(req, ino, buf, size, off, fi);
}

static void node_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv, off_t off, struct fuse_file_info *fi)
{
	fi->fh = ino;
	server_ops.write_buf(req, ino, bufv, off, fi);
}

/* The operations to hand to libfuse. Members this library was not built with are left out: the server does not have them either,
 * both are built with one header. */
static const struct fuse_lowlevel_ops *with_nodes(const struct fuse_lowlevel_ops *op, size_t op_size)
{
	memcpy(&server_ops, op, op_size < sizeof(server_ops) ? op_size : sizeof(server_ops));
	node_ops = server_ops;
	if (node_ops.read)
		node_ops.read = node_read;
	if (node_ops.write)
		node_ops.write = node_write;
	if (node_ops.write_buf)
		node_ops.write_buf = node_write_buf;
	return &node_ops;
}

struct fuse_session *fuse_session_new(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size, void *userdata)
{
	/* Where a later version is the default one, this is the one that takes four arguments. */
	session_new_fn *real = (session_new_fn *)dlvsym(RTLD_NEXT, "fuse_session_new", "FUSE_3.0");

	if (!real)
		real = (session_new_fn *)dlsym(RTLD_NEXT, "fuse_session_new");
	return real ? real(args, with_nodes(op, op_size), sizeof(node_ops), userdata) : NULL;
}

struct fuse_session *fuse_session_new_versioned(struct fuse_args *args, const struct fuse_lowlevel_ops *op, size_t op_size,
						struct libfuse_version *version, void *userdata)
{
	session_new_versioned_fn *real = (session_new_versioned_fn *)dlsym(RTLD_NEXT, "fuse_session_new_versioned");

	return real ? real(args, with_nodes(op, op_size), sizeof(node_ops), version, userdata) : NULL;
}
