"""Runs a command of this checkout on another kernel, cgroup version 2: python3 -m tests.vm.run LINUX_IMAGE.deb DIRECTORY COMMAND.

The guest is a Debian 12 with what the tests need, made by debootstrap in DIRECTORY and kept there, and the last commit in /root/eci.
"""
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.vm.image import MACHINE, drive, initramfs, unpacked

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PACKAGES = ("python3,python3-venv,python3-dev,gcc,gcc-multilib,libc6-dev,pkg-config,libfuse3-dev,fuse3,libseccomp2,runc,crun,docker.io,"
            "iptables,busybox-static,make,git,procps,util-linux,iproute2,kmod,bubblewrap,apparmor,python3-psutil,"
            "ca-certificates")  # fmt: skip
# In the order of what each needs.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk", "crc16", "libcrc32c",
           "crc32c_generic", "mbcache", "jbd2", "ext4")  # fmt: skip
BEGIN, END = "=== the command begins ===", "=== the command ended with"
SIZE = ("-m", "4096", "-smp", "2")
BOOT = "console=ttyS0 quiet loglevel=3 psi=1 panic=-1 cgroup_no_v1=all init=/init"
DISK = 8 << 30


def debian(root: Path) -> None:
    """A Debian with the packages, and this checkout's last commit with its environment."""
    if not root.exists():
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root], check=True)
    archive = subprocess.run(["git", "archive", "--prefix=eci/", "HEAD"], cwd=CHECKOUT, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", root / "root"], input=archive.stdout, check=True)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    subprocess.run(["chroot", root, "make", "-C", "/root/eci", ".venv/installed-dev"], check=True)
    subprocess.run(["chroot", root, "/root/eci/.venv/bin/python", "-m", "compileall", "-q", "/root/eci"], check=False)


def disk(root: Path, package: Path, path: Path) -> None:
    """An ext4 of the root with the package's modules in it."""
    (modules,) = (package / "lib/modules").iterdir()
    shutil.rmtree(root / "lib/modules", ignore_errors=True)
    shutil.copytree(modules, root / "lib/modules" / modules.name)
    subprocess.run(["chroot", root, "depmod", modules.name], check=True)
    path.unlink(missing_ok=True)
    drive(path, DISK)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^metadata_csum", "-d", root, path], check=True)


def show(line: str) -> None:
    """As it comes."""
    print(line, flush=True)


def run(package: Path, directory: Path, command: str, tell: Callable[[str], None] = show) -> int:
    """The command's exit status; each line of its output goes to `tell`."""
    root = directory / "root"
    debian(root)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        kernel, modules = unpacked(package, Path(name) / "package", MODULES)
        disk(root, Path(name) / "package", Path(name) / "disk")
        init = (HERE / "guest_root.sh").read_text()
        for mark, text in (("@BEGIN@", BEGIN), ("@END@", END), ("@COMMAND@", command.replace("'", "'\\''"))):
            init = init.replace(mark, text)
        qemu = ["qemu-system-x86_64", *MACHINE, *SIZE, "-kernel", str(kernel), "-initrd", str(initramfs(Path(name), modules, init)),
                "-append", BOOT, *drive(Path(name) / "disk")]  # fmt: skip
        with subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as guest:
            assert guest.stdout is not None
            return told(guest.stdout, tell)


def told(console: Iterable[bytes], tell: Callable[[str], None]) -> int:
    """Tells what stands between the marks; the status behind the second one, 125 where the guest did not come to it."""
    inside = False
    for raw in console:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line.startswith(END):
            return int(line.removeprefix(END))
        if inside:
            tell(line)
        inside = inside or line.startswith(BEGIN)
    return 125


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2]), " ".join(sys.argv[3:])))
