/* What native/ offers to Python: the part between the markers is read by build.py as the cdef, so it holds plain declarations only.
 * Conventions: 0, a positive value or -errno is returned; an int named *_fd is borrowed unless its comment says otherwise.
 */
#ifndef ECI_H
#define ECI_H

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

/* cdef: begin (libc, for linux/: errno is in ffi.errno) */
long syscall(long number, ...);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
int unshare(int flags);
int setns(int fd, int nstype);
int setfsuid(unsigned int uid);
int setfsgid(unsigned int gid);
int prctl(int option, ...);
/* cdef: end */

/* The magic number of the file system that fd, an O_PATH one too, is on. Here because Python's statvfs leaves it out. */
static inline long eci_fs_magic(int fd)
{
	struct statfs result;

	return fstatfs(fd, &result) < 0 ? -errno : (long)result.f_type;
}

/* cdef: begin (linux/statfs.py) */
long eci_fs_magic(int fd);
/* cdef: end */

#endif
