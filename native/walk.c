/* Where a path of the caller leads. Runs in a child that has the caller's root, cwd, ids and namespaces but not its pid: `self`,
 * `thread-self` and the caller's own descriptors are what the kernel would get wrong. No recursion; every buffer is on the child's stack.
 *
 * The fast way is one openat2(2). In a procfs of another pid namespace than ours `self` is a link that answers ENOENT, so a fast walk
 * that succeeds went through none. On ENOENT, and on EACCES (its own /proc/N/fd may be closed to everybody else), the path is walked
 * component by component. A container has no procfs of our own pid namespace: create refuses the host's, and binds that carry one.
 */
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "mounter.h"

enum { LINKS_MAX = 40, PROC_ROOT_INO = 1 };

/* Where in a procfs of its own the walk is. */
enum own { OWN_NOTHING, OWN_PROCESS, OWN_TASKS, OWN_THREAD, OWN_FDS };

struct walk {
	struct caller *caller;
	int at;			/* O_PATH of the directory reached */
	int links;
	enum own own;
	bool thread;		/* the thread's own directory, not the process's */
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
				 .regular = S_ISREG(st.stx_mode) };
	return 0;
}

/* The magic of the procfs or sysfs of which `fd` is the root of a mount; 0 if it is none: identity, not path. */
int eci_tree_at(int fd, const struct place *place)
{
	struct statfs fs;

	if (!place->mount_root || !place->directory || fstatfs(fd, &fs) < 0)
		return 0;
	return fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC ? (int)fs.f_type : 0;
}

static bool on_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static bool at_procfs_root(int fd)
{
	struct stat st;

	return on_procfs(fd) && fstat(fd, &st) == 0 && st.st_ino == PROC_ROOT_INO;
}

/* Which of the caller's pid namespaces the procfs at `root` shows: the outermost level whose number there has the caller's own line of
 * numbers from that level inwards. 0: it shows none of them, or hides the caller. */
static int level_of(const struct caller *caller, int root)
{
	for (int level = 1; level < caller->levels; level++) {
		char path[64], status[4096], wanted[MAX_LEVELS * 12] = "\nNStgid:";
		size_t length = strlen(wanted);
		cleanup_fd int fd = -1;
		ssize_t n;

		snprintf(path, sizeof(path), "%d/status", caller->tgid_in[level]);
		fd = openat(root, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, status, sizeof(status) - 1);
		if (n <= 0)
			continue;
		status[n] = 0;
		for (int i = level; i < caller->levels; i++)
			length += (size_t)snprintf(wanted + length, sizeof(wanted) - length, "\t%d", caller->tgid_in[i]);
		snprintf(wanted + length, sizeof(wanted) - length, "\n");
		if (strstr(status, wanted))
			return level;
	}
	return 0;
}

/* Puts `text` in front of what is still to walk. */
static int push(struct walk *walk, const char *text)
{
	size_t length = strlen(text), rest = strlen(walk->rest);

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	if (length + 1 + rest >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memmove(walk->rest + length + 1, walk->rest, rest + 1);
	memcpy(walk->rest, text, length);
	walk->rest[length] = '/';
	if (!rest)
		walk->rest[length] = 0;
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

/* A symbolic link `fd`, named `name` in the directory reached. */
static int follow(struct walk *walk, int fd, const char *name)
{
	char text[PATH_MAX];
	const struct caller *caller = walk->caller;
	bool root = at_procfs_root(walk->at);
	ssize_t n;

	if (root && (!strcmp(name, "self") || !strcmp(name, "thread-self"))) {
		int level = level_of(caller, walk->at);

		if (!level)
			return -ENOENT;
		n = *name == 't' ? snprintf(text, sizeof(text), "%d/task/%d", caller->tgid_in[level], caller->tid_in[level])
				 : snprintf(text, sizeof(text), "%d", caller->tgid_in[level]);
	} else if (!root && on_procfs(fd)) {
		/* A magic link: the kernel follows it, and asks whether the caller may. */
		walk->own = OWN_NOTHING;
		return ++walk->links > LINKS_MAX ? -ELOOP : move_to(walk, openat(walk->at, name, O_PATH | O_CLOEXEC));
	} else {
		n = readlinkat(fd, "", text, sizeof(text) - 1);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENOENT;
	}
	text[n] = 0;
	if (text[0] == '/') {
		int ret = move_to(walk, open("/", O_PATH | O_CLOEXEC));

		if (ret < 0)
			return ret;
		walk->own = OWN_NOTHING;
	}
	return push(walk, text);
}

/* One of the caller's own descriptors: ptrace rules would judge us and not it, so the mounter takes it, outside, and we walk again. */
static int own_descriptor(struct walk *walk, const char *name)
{
	struct caller *caller = walk->caller;
	int number = atoi(name);

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	walk->own = OWN_NOTHING;
	if (caller->own_fd >= 0 && caller->own_nr == number && caller->own_thread == walk->thread)
		return move_to(walk, fcntl(caller->own_fd, F_DUPFD_CLOEXEC, 0));
	caller->own_nr = number;
	caller->own_thread = walk->thread;
	return -WANT_OWN_FD;
}

/* What `name` is to the caller, in the directory reached. */
static enum own step(struct walk *walk, const char *name)
{
	const struct caller *caller = walk->caller;
	int level;

	switch (walk->own) {
	case OWN_PROCESS:
	case OWN_THREAD:
		walk->thread = walk->own == OWN_THREAD;
		if (!strcmp(name, "fd"))
			return OWN_FDS;
		return walk->own == OWN_PROCESS && !strcmp(name, "task") ? OWN_TASKS : OWN_NOTHING;
	case OWN_TASKS:
		for (level = 1; level < caller->levels; level++)
			if (atoi(name) == caller->tid_in[level])
				return OWN_THREAD;
		return OWN_NOTHING;
	case OWN_NOTHING:
		if (*name < '1' || *name > '9' || !at_procfs_root(walk->at))
			return OWN_NOTHING;
		level = level_of(caller, walk->at);
		return level && atoi(name) == caller->tgid_in[level] ? OWN_PROCESS : OWN_NOTHING;
	case OWN_FDS:
		break;
	}
	return OWN_NOTHING;
}

static int component(struct walk *walk, const char *name, bool last, bool must_follow)
{
	bool descriptor = walk->own == OWN_FDS && *name >= '0' && *name <= '9';
	cleanup_fd int fd = -1;
	struct place place;
	struct stat st;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		walk->own = OWN_NOTHING;	/* the kernel stops at our root, which is the caller's */
		return move_to(walk, openat(walk->at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
	}
	if (descriptor && (!last || must_follow))
		return own_descriptor(walk, name);
	fd = openat(walk->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (eci_place(fd, &place) < 0)
		return -errno;
	if (!place.directory && !place.regular && (!last || must_follow) && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode))
		return follow(walk, fd, name);
	if (!last && !place.directory)
		return -ENOTDIR;
	walk->own = step(walk, name);
	return move_to(walk, steal_fd(&fd));
}

static int walk_slowly(struct walk *walk, bool follow_last)
{
	char name[NAME_MAX + 1];
	bool must_be_directory = false;
	int ret;

	for (;;) {
		size_t skip = strspn(walk->rest, "/"), length = strcspn(walk->rest + skip, "/"), end = skip + length;
		bool last = !walk->rest[end + strspn(walk->rest + end, "/")];

		if (!length)
			break;
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, walk->rest + skip, length);
		name[length] = 0;
		if (last && walk->rest[end])
			must_be_directory = true;
		memmove(walk->rest, walk->rest + end, strlen(walk->rest + end) + 1);
		if (last)
			walk->rest[0] = 0;
		ret = component(walk, name, last, follow_last || must_be_directory);
		if (ret < 0)
			return ret;
	}
	if (must_be_directory) {
		struct place place;

		if (eci_place(walk->at, &place) == 0 && !place.directory)
			return -ENOTDIR;
	}
	return 0;
}

/* O_PATH descriptor of what `path` names to the caller, in a child that is as the caller. -errno as the kernel's, or -WANT_OWN_FD. */
int eci_walk(struct caller *caller, const char *path, bool follow_last)
{
	struct open_how how = { .flags = (uint64_t)(O_PATH | O_CLOEXEC | (follow_last ? 0 : O_NOFOLLOW)) };
	struct walk walk = { .caller = caller, .at = -1 };
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	int ret;

	if (fd >= 0 || (errno != ENOENT && errno != EACCES) || !*path)
		return fd >= 0 ? (int)fd : -errno;
	ret = -errno;
	walk.at = open(*path == '/' ? "/" : ".", O_PATH | O_CLOEXEC);
	if (walk.at < 0 || strlen(path) >= PATH_MAX)
		return ret;
	strcpy(walk.rest, path);
	ret = walk_slowly(&walk, follow_last);
	if (ret < 0)
		eci_close(&walk.at);
	return ret < 0 ? ret : walk.at;
}
