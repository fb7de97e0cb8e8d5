/* Where a path of the caller leads. Runs in a child that has the caller's root, cwd, ids and namespaces but not its pid: `self`,
 * `thread-self` and the caller's own descriptors are what the kernel would get wrong. No recursion; every buffer is on the child's stack.
 *
 * The fast way is one openat2(2). In a procfs of another pid namespace than ours `self` is a link that answers ENOENT, so a fast walk
 * that succeeds went through none. On ENOENT, and on EACCES (its own /proc/N/fd may be closed to everybody else), the path is walked
 * component by component. A container has no procfs of our own pid namespace: create refuses the host's, and binds that carry one.
 */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "mounter.h"

enum { LINKS_MAX = 40, PROC_ROOT_INO = 1, STATUS_MAX = 4096 };

struct walk {
	struct caller *caller;
	int at, links;		/* O_PATH of the directory reached */
	int own;		/* it holds the caller's own descriptors: 1 its process's, 2 its thread's, which may be others */
	char rest[2 * PATH_MAX];
};

/* Without asking a FUSE server of the container for more than it has told already. */
int eci_place(int fd, struct place *place)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID, &st) < 0)
		return -errno;
	*place = (struct place){ .mount_id = st.stx_mnt_id, .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
				 .mount_root = st.stx_attributes & STATX_ATTR_MOUNT_ROOT, .directory = S_ISDIR(st.stx_mode),
				 .regular = S_ISREG(st.stx_mode), .link = S_ISLNK(st.stx_mode) };
	return 0;
}

static bool at_procfs_root(int fd)
{
	struct stat st;

	return eci_kind(fd) == TREE_PROC && fstat(fd, &st) == 0 && st.st_ino == PROC_ROOT_INO;
}

/* Whether `line` of a status holds the caller's numbers, from `level` of the pid namespaces inwards. */
static bool has_numbers(const char *status, const char *line, const struct caller *caller, const uint32_t *numbers, int level)
{
	uint32_t found[MAX_LEVELS];
	int count = eci_numbers(status, line, found, MAX_LEVELS);

	return count > 0 && count == caller->levels - level && !memcmp(found, numbers + level, (size_t)count * sizeof(*found));
}

/* Which of the caller's pid namespaces the procfs at `root` shows: the outermost level whose number there has the caller's own line of
 * numbers from that level inwards. 0: it shows none of them, or hides the caller. */
static int level_of(const struct caller *caller, int root)
{
	for (int level = 1; level < caller->levels; level++) {
		char path[24], status[STATUS_MAX];

		snprintf(path, sizeof(path), "%u/status", caller->tgid_in[level]);
		if (eci_read_text(root, path, status, STATUS_MAX) && has_numbers(status, "\nNStgid:", caller, caller->tgid_in, level))
			return level;
	}
	return 0;
}

/* Whose descriptors are in `fd` of the directory reached: struct walk's `own`. */
static int owner_of(const struct caller *caller, int at)
{
	char status[STATUS_MAX];

	for (int level = eci_kind(at) == TREE_PROC && eci_read_text(at, "status", status, STATUS_MAX) ? 1 : caller->levels; level < caller->levels; level++)
		if (has_numbers(status, "\nNStgid:", caller, caller->tgid_in, level))
			return has_numbers(status, "\nNSpid:", caller, caller->tgid_in, level) ? 1
			       : has_numbers(status, "\nNSpid:", caller, caller->tid_in, level) ? 2 : 0;
	return 0;
}

static int move_to(struct walk *walk, int fd)
{
	if (fd < 0)
		return -errno;
	close(walk->at);
	walk->at = fd;
	return 0;
}

/* A symbolic link `fd`, named `name` in the directory reached: its text goes in front of what is still to walk. */
static int follow(struct walk *walk, int fd, const char *name)
{
	bool root = at_procfs_root(walk->at), own = root && (!strcmp(name, "self") || !strcmp(name, "thread-self"));
	char text[2 * PATH_MAX];
	int level = own ? level_of(walk->caller, walk->at) : 0, ret = 0;
	ssize_t n;

	walk->own = 0;
	if (!own && !root && eci_kind(fd) == TREE_PROC)	/* a magic link: the kernel follows it, and asks whether the caller may */
		return move_to(walk, openat(walk->at, name, O_PATH | O_CLOEXEC));
	if (own && !level)
		return -ENOENT;
	if (own)
		n = snprintf(text, PATH_MAX, *name == 't' ? "%u/task/%u" : "%u", walk->caller->tgid_in[level], walk->caller->tid_in[level]);
	else
		n = readlinkat(fd, "", text, PATH_MAX - 1);
	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	if (*text == '/')
		ret = move_to(walk, open("/", O_PATH | O_CLOEXEC));
	if (n + (ssize_t)strlen(walk->rest) >= (ssize_t)sizeof(text))
		return -ENAMETOOLONG;
	strcpy(text + n, walk->rest);	/* which is empty or starts with a slash */
	strcpy(walk->rest, text);
	return ret;
}

/* One of the caller's own descriptors: ptrace rules would judge us and not it, so the mounter takes it, outside, and we walk again. */
static int own_descriptor(struct walk *walk, int number)
{
	struct caller *caller = walk->caller;
	bool thread = walk->own == 2;

	walk->own = 0;
	if (caller->own_fd >= 0 && caller->own_nr == number && caller->own_thread == thread)
		return move_to(walk, fcntl(caller->own_fd, F_DUPFD_CLOEXEC, 0));
	caller->own_nr = number;
	caller->own_thread = thread;
	return -WANT_OWN_FD;
}

static int component(struct walk *walk, const char *name, bool last, bool must_follow)
{
	cleanup_fd int fd = -1;
	struct place place;

	if (!strcmp(name, "."))
		return 0;
	if (walk->own && *name >= '0' && *name <= '9' && (!last || must_follow))
		return ++walk->links > LINKS_MAX ? -ELOOP : own_descriptor(walk, atoi(name));
	fd = openat(walk->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);	/* ".." ends at our root, which is the caller's */
	if (fd < 0 || eci_place(fd, &place) < 0)
		return -errno;
	if (place.link && (!last || must_follow))
		return ++walk->links > LINKS_MAX ? -ELOOP : follow(walk, fd, name);
	if (!last && !place.directory)
		return -ENOTDIR;
	walk->own = !strcmp(name, "fd") ? owner_of(walk->caller, walk->at) : 0;
	return move_to(walk, steal_fd(&fd));
}

static int walk_slowly(struct walk *walk, bool follow_last)
{
	bool directory = false;
	struct place place;

	for (;;) {
		char name[NAME_MAX + 1];
		size_t skip = strspn(walk->rest, "/"), length = strcspn(walk->rest + skip, "/"), end = skip + length;
		bool last = !walk->rest[end + strspn(walk->rest + end, "/")];
		size_t left = last ? 0 : strlen(walk->rest + end);
		int ret;

		if (!length)
			break;
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, walk->rest + skip, length);
		name[length] = 0;
		directory = directory || (last && walk->rest[end]);
		memmove(walk->rest, walk->rest + end, left);
		walk->rest[left] = 0;
		ret = component(walk, name, last, follow_last || directory);
		if (ret < 0)
			return ret;
	}
	return directory && eci_place(walk->at, &place) == 0 && !place.directory ? -ENOTDIR : 0;
}

/* O_PATH descriptor of what `path` names to the caller, in a child that has become it. -errno as the kernel's, or -WANT_OWN_FD. */
int eci_walk(struct caller *caller, const char *path, bool follow_last)
{
	struct walk walk = { .caller = caller };
	int ret = caller->held ? result(fcntl(HELD + atoi(path), F_DUPFD_CLOEXEC, 0)) : eci_open_below(AT_FDCWD, path, (uint64_t)(O_PATH | (follow_last ? 0 : O_NOFOLLOW)), 0);

	if (caller->held || (ret != -ENOENT && ret != -EACCES) || !*path || strlen(path) >= PATH_MAX)
		return ret;
	walk.at = open(*path == '/' ? "/" : ".", O_PATH | O_CLOEXEC);
	if (walk.at < 0)
		return ret;
	strcpy(walk.rest, path);
	ret = walk_slowly(&walk, follow_last);
	if (ret < 0)
		eci_close(&walk.at);
	return ret < 0 ? ret : walk.at;
}

/* From the directory that the caller has under `number`, below 0 from where it stands; an empty path: what it has there. */
int eci_walk_from(struct caller *caller, int number, const char *path, bool follow)
{
	if (number >= 0 && !(caller->caps & 1ULL << CAP_SYS_ADMIN))
		return -EPERM;	/* all calls that name a directory so ask for it first */
	if (number >= 0 && (caller->own_fd < 0 || caller->own_nr != number || !caller->own_thread)) {
		caller->own_nr = number;
		caller->own_thread = true;
		return -WANT_START;
	}
	if (number >= 0 && !*path)
		return result(fcntl(caller->own_fd, F_DUPFD_CLOEXEC, 0));
	return fchdir(number >= 0 ? caller->own_fd : caller->cwd) < 0 ? -errno : eci_walk(caller, path, follow);
}
