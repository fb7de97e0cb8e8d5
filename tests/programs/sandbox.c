/* What systemd does for a unit with PrivateMounts=, ProtectProc=invisible, ProtectKernelTunables=, ProtectSystem=strict, PrivateTmp= and
 * InaccessiblePaths=: a mount namespace of its own, then mounts, and the program.
 *
 *	sandbox COMMAND [WORD...]
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOUNT_SETATTR = 442, RECURSIVE = 0x8000 };

struct attributes { uint64_t set, clear, propagation, userns; };

static void must(long ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "sandbox: %s: %s\n", what, strerrorname_np(errno));
	_exit(1);
}

/* As systemd: the whole tree at once, or mount by mount where the kernel will not. */
static void read_only(const char *path)
{
	struct attributes attributes = { .set = 1 | 2 };

	must(mount(path, path, NULL, MS_BIND | MS_REC, NULL), path);
	if (syscall(MOUNT_SETATTR, AT_FDCWD, path, RECURSIVE, &attributes, sizeof(attributes)) < 0)
		must(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL), path);
}

int main(int argc, char **argv)
{
	static const char *const tunables[] = { "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/sys" };

	if (argc < 2)
		return 2;
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "slave");
	must(mkdir("/run/sandbox", 0755) < 0 && errno != EEXIST ? -1 : 0, "/run/sandbox");
	must(mount("/", "/run/sandbox", NULL, MS_BIND | MS_REC, NULL), "a copy of the root");
	must(mount("proc", "/run/sandbox/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, "hidepid=invisible"), "proc");
	must(mount("tmpfs", "/run/sandbox/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"), "tmp");
	must(mount("/run/sandbox", "/run/sandbox", NULL, MS_BIND | MS_REC, NULL), "itself");
	must(chdir("/run/sandbox"), "chdir");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "the old root");
	must(chdir("/"), "chdir");
	for (size_t i = 0; i < sizeof(tunables) / sizeof(*tunables); i++)
		if (access(tunables[i], F_OK) == 0)
			read_only(tunables[i]);
	must(mount("tmpfs", "/home", "tmpfs", MS_NOSUID | MS_NODEV, "mode=000,size=4k"), "inaccessible");
	must(mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL), "shared");
	execvp(argv[1], argv + 1);
	must(-1, argv[1]);
}
