/* The same calls by each ABI that a process of this machine has; compiled for 64 and for 32 bits.
 *
 *	vectors native|int80 pointers DIRECTORY	bad pointers, descriptors and flags for each argument of each call that may be vetted
 *	vectors native|int80 decisions PROTECTED DIRECTORY	what is decided about calls that mean something
 *
 * One line a call: what it is, and OK or the name of the errno. So two ABIs, or two places, are compared by comparing text.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, FUSE_MAGIC = 0x65735546, GUARD = 0xA5 };
enum nr { MOUNT, UMOUNT, UMOUNT2, SYSINFO, SETNS, UNSHARE, CLONE, PIVOT_ROOT, MKNOD, OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK,
	  MOUNT_SETATTR, CLONE3, SYSLOG, BPF, PERF, INIT_MODULE, OPEN_TREE_ATTR };

/* 64 bits have no umount: there it is umount2 with no flags, which is what it means. */
static const struct { const char *name; int wide, narrow; } CALLS[] = {
	[MOUNT] = { "mount", 165, 21 }, [UMOUNT] = { "umount", 166, 22 }, [UMOUNT2] = { "umount2", 166, 52 }, [SYSINFO] = { "sysinfo", 99, 116 },
	[SETNS] = { "setns", 308, 346 }, [UNSHARE] = { "unshare", 272, 310 }, [CLONE] = { "clone", 56, 120 },
	[PIVOT_ROOT] = { "pivot_root", 155, 217 }, [MKNOD] = { "mknod", 133, 14 }, [OPEN_TREE] = { "open_tree", 428, 428 },
	[MOVE_MOUNT] = { "move_mount", 429, 429 }, [FSOPEN] = { "fsopen", 430, 430 }, [FSCONFIG] = { "fsconfig", 431, 431 },
	[FSMOUNT] = { "fsmount", 432, 432 }, [FSPICK] = { "fspick", 433, 433 }, [MOUNT_SETATTR] = { "mount_setattr", 442, 442 },
	[CLONE3] = { "clone3", 435, 435 }, [SYSLOG] = { "syslog", 103, 103 }, [BPF] = { "bpf", 321, 357 },
	[PERF] = { "perf_event_open", 298, 336 }, [INIT_MODULE] = { "init_module", 175, 128 }, [OPEN_TREE_ATTR] = { "open_tree_attr", 467, 467 },
};

static int narrow;	/* calls are those of i386 */

static long int80(long nr, const uint64_t *a)
{
#ifdef __x86_64__
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
#else
	return syscall(nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4]);
#endif
}

static long call(enum nr which, const uint64_t *a)
{
	if (narrow)
		return int80(CALLS[which].narrow, a);
	return syscall(CALLS[which].wide, a[0], a[1], a[2], a[3], a[4]);
}

#define CALL(which, ...) call(which, (const uint64_t[5]){ __VA_ARGS__ })
#define P(pointer) ((uint64_t)(uintptr_t)(pointer))

static const char *said(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "OK";
}

/* ---- what an argument may be ---- */

struct value {
	const char *name;
	uint64_t value;
};

static char *area, *directory;	/* within the low 4 GB */

static char *low(const char *text)
{
	static size_t used;
	char *copy;

	if (!area)
		area = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
#ifdef __x86_64__
			    | MAP_32BIT
#endif
			    , -1, 0);
	copy = area + used;
	used += strlen(text) + 1;
	return strcpy(copy, text);
}

/* Page 8 can be read, 9 to 10 are full of 'a' and cannot be written, 11 is a hole, 12 cannot be touched, 13 ends before the hole at 14. */
static size_t pointers(struct value *to)
{
	char *page[16];
	size_t n = 0;

	low("");
	for (int i = 0; i < 16; i++)
		page[i] = area + i * PAGE;
	memset(page[8], 'a', 3 * PAGE);
	mprotect(page[9], 2 * PAGE, PROT_READ);
	munmap(page[11], PAGE);
	mprotect(page[12], PAGE, PROT_NONE);
	munmap(page[14], PAGE);
	memcpy(page[14] - 6, "tmpfs", 6);
	memcpy(page[13] + 100, "nosuch", 7);
	to[n++] = (struct value){ "NULL", 0 };
	to[n++] = (struct value){ "1", 1 };
	to[n++] = (struct value){ "a kernel's", narrow ? 0xfffff000u : 0xffffffff81000000u };
	if (!narrow)
		to[n++] = (struct value){ "no address", 0x8000000000000000u };
	to[n++] = (struct value){ "a hole", P(page[11]) };
	to[n++] = (struct value){ "closed", P(page[12]) };
	to[n++] = (struct value){ "runs into a hole", P(page[11] - 1) };
	to[n++] = (struct value){ "endless", P(page[8]) };
	to[n++] = (struct value){ "ends before a hole", P(page[14] - 6) };
	to[n++] = (struct value){ "empty", P(page[14] - 1) };
	to[n++] = (struct value){ "nosuch", P(page[13] + 100) };
	to[n++] = (struct value){ "the directory", P(directory) };
	return n;
}

static size_t descriptors(struct value *to)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(3);
	to[0] = (struct value){ "-1", (uint64_t)-1 };
	to[1] = (struct value){ "closed fd", 999 };
	to[2] = (struct value){ "pipe", (uint64_t)ends[0] };
	to[3] = (struct value){ "file", (uint64_t)open("/etc/passwd", O_RDONLY | O_CLOEXEC) };
	to[4] = (struct value){ "directory fd", (uint64_t)open(directory, O_RDONLY | O_CLOEXEC) };
	to[5] = (struct value){ "path fd", (uint64_t)open(directory, O_PATH | O_CLOEXEC) };
	to[6] = (struct value){ "own user namespace", (uint64_t)open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC) };
	to[7] = (struct value){ "own pidfd", (uint64_t)syscall(434, getpid(), 0) };
	return 8;
}

static size_t words(struct value *to)
{
	static const struct value GARBAGE[] = {
		{ "0", 0 }, { "all bits", UINT64_MAX }, { "bit 0", 1 }, { "bit 4", 1 << 4 }, { "bit 16", 1 << 16 }, { "bit 31", 1u << 31 },
		{ "bit 22", 1 << 22 }, { "0x55555555", 0x55555555 }, { "0xaaaaaaaa", 0xaaaaaaaa }, { "0x80000000ffff", 0x80000000ffff },
	};

	memcpy(to, GARBAGE, sizeof(GARBAGE));
	return sizeof(GARBAGE) / sizeof(*GARBAGE);
}

/* ---- pointers: one argument wrong at a time ---- */

/* Kinds of arguments: p a pointer, f a descriptor, w a word of flags; '-' is left as it is. */
static const struct vector {
	enum nr nr;
	const char *kinds;
	const char *usual[5];	/* a name of the lists, or a string */
	uint64_t flags;
} VECTORS[] = {
	{ MOUNT, "pppwp", { "none", "T", "tmpfs", "", NULL }, 0 }, { MOUNT, "pppwp", { "none", "T", "proc", "", NULL }, 0 },
	{ MOUNT, "pppwp", { "none", "T", "sysfs", "", NULL }, 0 }, { MOUNT, "ppp-p", { "T", "T", "x", "", NULL }, MS_REMOUNT | MS_BIND },
	{ MOUNT, "ppp-p", { "T", "T", "x", "", NULL }, MS_REMOUNT }, { MOUNT, "ppp-p", { "T", "T", "x", "", NULL }, MS_BIND },
	{ MOUNT, "ppp-p", { "T", "T", "x", "", NULL }, MS_MOVE }, { MOUNT, "ppp-p", { "T", "T", "x", "", NULL }, MS_PRIVATE },
	{ UMOUNT, "p", { "T" }, 0 }, { UMOUNT2, "pw", { "T" }, 0 }, { SETNS, "fw", { NULL }, 0 }, { UNSHARE, "w", { NULL }, 0 },
	{ PIVOT_ROOT, "pp", { "T", "T" }, 0 }, { OPEN_TREE, "fpw", { NULL, "T" }, 0 }, { MOVE_MOUNT, "fpfpw", { NULL, "T", NULL, "T" }, 0 },
	{ FSOPEN, "pw", { "tmpfs" }, 0 }, { FSCONFIG, "fwpp-", { NULL, NULL, "x", "x" }, 0 }, { FSMOUNT, "fww", { NULL }, 0 },
	{ FSPICK, "fpw", { NULL, "T" }, 0 }, { MOUNT_SETATTR, "fpwpw", { NULL, "T", NULL, "T" }, 0 }, { SYSINFO, "p", { NULL }, 0 },
	{ OPEN_TREE_ATTR, "fpwpw", { NULL, "T", NULL, "T" }, 0 },
};

/* In a process of its own: some of them succeed, and an unshare or a descriptor is not to be there for the next. */
static void one(const struct vector *vector, const uint64_t *args, int arg, const char *name)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		long ret = call(vector->nr, args);

		printf("%s %d(%c) flags %llx %s: %s\n", CALLS[vector->nr].name, arg, vector->kinds[arg], (unsigned long long)vector->flags, name,
		       said(ret));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	while (umount2(directory, MNT_DETACH) == 0)
		;
}

static int run_pointers(char **w)
{
	struct value lists[3][16];
	size_t sizes[3];

	directory = low(w[0]);
	sizes[0] = pointers(lists[0]);
	sizes[1] = descriptors(lists[1]);
	sizes[2] = words(lists[2]);
	for (size_t i = 0; i < sizeof(VECTORS) / sizeof(*VECTORS); i++) {
		const struct vector *vector = &VECTORS[i];
		uint64_t usual[5] = { 0 };

		for (int arg = 0; vector->kinds[arg]; arg++) {
			const char *text = vector->usual[arg];

			usual[arg] = vector->kinds[arg] == 'f' ? (uint64_t)AT_FDCWD : !text ? 0 : P(!strcmp(text, "T") ? directory : low(text));
		}
		if (vector->nr == MOUNT)
			usual[3] = vector->flags;
		for (int arg = 0; vector->kinds[arg]; arg++) {
			const char kind = vector->kinds[arg];
			int list = kind == 'p' ? 0 : kind == 'f' ? 1 : 2;

			for (size_t k = 0; kind != '-' && k < sizes[list]; k++) {
				uint64_t args[5];

				memcpy(args, usual, sizeof(args));
				args[arg] = lists[list][k].value;
				one(vector, args, arg, lists[list][k].name);
			}
		}
	}
	return 0;
}

/* ---- decisions ---- */

/* What sysinfo(2) wrote: in its own layout, nothing beyond its end, and the memory that /proc/meminfo tells. */
static void machine(void)
{
	const size_t size = narrow ? 64 : 112;
	const size_t word = size == 64 ? 4 : 8;
	unsigned char *info = (unsigned char *)low("") + 64;
	uint64_t total = 0, kib = 0;
	uint32_t unit;
	size_t beyond = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	if (file && fgets(line, sizeof(line), file))
		kib = strtoull(line + strlen("MemTotal:"), NULL, 10);
	if (file)
		fclose(file);
	memset(info, GUARD, 256);
	printf("sysinfo: %s\n", said(CALL(SYSINFO, P(info))));
	for (size_t i = size; i < 256; i++)
		beyond += info[i] != GUARD;
	memcpy(&total, info + 4 * word, word);
	memcpy(&unit, info + (word == 4 ? 52 : 104), sizeof(unit));
	printf("sysinfo writes %s\n", beyond ? "too much" : "its struct");
	printf("sysinfo tells %s\n", total * unit / 1024 == kib ? "what meminfo does" : "something else");
}

struct attributes { uint64_t set, clear, propagation, userns; };

static void in_child(const char *name, enum nr nr, uint64_t argument)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		printf("%s: %s\n", name, said(CALL(nr, argument)));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void cloned(uint64_t flags, const char *name)
{
	long pid;

	fflush(stdout);
	pid = CALL(CLONE, flags | SIGCHLD);
	if (!pid)
		_exit(0);
	printf("clone %s: %s\n", name, said(pid));
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
}

static int run_decisions(char **w)
{
	const uint64_t ro = P(low(w[0])), t = P(low(w[1])), proc = P(low("proc")), none = P(low("none")), node = P(low("/proc/uptime"));
	const uint64_t hidepid = P(low("hidepid=2")), at = P(low("/proc")), tmpfs = P(low("tmpfs")), device = P(low("/tmp/device"));
	const struct { const char *name; enum nr nr; uint64_t a[5]; } calls[] = {
		{ "ro to rw", MOUNT, { none, ro, none, MS_REMOUNT | MS_BIND } }, { "superblock of ro", MOUNT, { none, ro, none, MS_REMOUNT } },
		{ "ro moved", MOUNT, { ro, t, none, MS_MOVE } }, { "node moved", MOUNT, { node, t, none, MS_MOVE } },
		{ "proc mounted", MOUNT, { proc, t, proc, MS_NOSUID } }, { "hidepid", MOUNT, { none, t, none, MS_REMOUNT, hidepid } },
		{ "proc ro", MOUNT, { none, t, none, MS_REMOUNT | MS_BIND | MS_RDONLY } }, { "proc umounted", UMOUNT, { t } },
		{ "sysfs mounted", MOUNT, { none, t, P(low("sysfs")), 0xC0ED0000 } }, { "sysfs umounted", UMOUNT2, { t } },
		{ "tmpfs mounted", MOUNT, { none, t, tmpfs } }, { "expired", UMOUNT2, { t, MNT_EXPIRE } }, { "detached", UMOUNT2, { t, MNT_DETACH } },
		{ "node umounted", UMOUNT, { node } }, { "node detached", UMOUNT2, { node, MNT_DETACH } }, { "ro umounted", UMOUNT, { ro } },
		{ "bind of proc", MOUNT, { at, t, none, MS_BIND } }, { "gone", UMOUNT2, { t, MNT_DETACH } },
		{ "ext4", MOUNT, { none, t, P(low("ext4")) } }, { "invalid", MOUNT, { none, t, tmpfs, 1u << 31 } },
		{ "pivot_root", PIVOT_ROOT, { ro, ro } }, { "device", MKNOD, { device, 020666, 0x101 } },
		{ "open_tree", OPEN_TREE, { (uint64_t)AT_FDCWD, at, 1 } }, { "fsopen", FSOPEN, { proc } },
		{ "syslog", SYSLOG, { 10 } }, { "bpf", BPF, { 0 } }, { "perf", PERF, { 0 } }, { "module", INIT_MODULE, { 0 } },
	};
	struct attributes *writable = (struct attributes *)low("................................");
	struct statfs fs;

	*writable = (struct attributes){ .clear = 1 };
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		printf("%s: %s\n", calls[i].name, said(call(calls[i].nr, calls[i].a)));
		if (!strcmp(calls[i].name, "proc mounted")) {
			char path[256];

			snprintf(path, sizeof(path), "%s/uptime", w[1]);
			printf("it is %s\n", statfs(path, &fs) == 0 && fs.f_type == FUSE_MAGIC ? "virtual" : "not virtual");
		}
	}
	printf("mount_setattr: %s\n", said(CALL(MOUNT_SETATTR, (uint64_t)AT_FDCWD, ro, 0, P(writable), sizeof(*writable))));
	in_child("unshare uts", UNSHARE, CLONE_NEWUTS);
	in_child("unshare mnt+net", UNSHARE, CLONE_NEWNS | CLONE_NEWNET);
	in_child("unshare nonsense", UNSHARE, 1);
	in_child("own user namespace", SETNS, (uint64_t)open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
	in_child("own network", SETNS, (uint64_t)open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	cloned(CLONE_NEWUTS, "uts");
	cloned(CLONE_NEWNS | CLONE_NEWPID, "mnt+pid");
	cloned(CLONE_NEWUSER | CLONE_FS, "user with shared fs");
	machine();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	narrow = sizeof(long) == 4 || !strcmp(argv[1], "int80");
	if (!strcmp(argv[2], "pointers"))
		return run_pointers(argv + 3);
	return argc < 5 ? 2 : run_decisions(argv + 3);
}
