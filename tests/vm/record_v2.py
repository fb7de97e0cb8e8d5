"""Records a container's cgroup version 2 files from a real kernel: python3 -m tests.vm.record_v2 LINUX_IMAGE.deb OUTPUT.

The guest is busybox and virt.sh in an initramfs; what it prints between two marks on its serial console is the recording.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.rootfs import busybox, compile_program

HERE = Path(__file__).parent
# In the order of what each needs.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
BEGIN, END = "=== recording begins ===", "=== recording ends ==="
MACHINE = ("-m", "1024", "-smp", "4", "-display", "none", "-serial", "stdio", "-no-reboot", "-accel", "tcg")
BOOT = "console=ttyS0 quiet loglevel=0 psi=1 panic=-1 cgroup_no_v1=all"
DEADLINE_S = 300.0


def unpacked(package: Path, directory: Path) -> tuple[Path, list[Path]]:
    """The kernel of a Debian package and the modules that a virtual disk needs."""
    subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
    found = {path.name.partition(".")[0].replace("-", "_"): path for path in directory.glob("**/*.ko*")}
    return next(directory.glob("boot/vmlinuz-*")), [found[name] for name in MODULES]


def initramfs(directory: Path, modules: list[Path]) -> Path:
    """A cpio archive with busybox, the modules and the script that is its init."""
    root = directory / "root"
    for name in ("bin", "dev", "proc", "sys", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox(), root / "bin/busybox")
    compile_program(HERE / "work.c", root / "bin/work")
    for number, path in enumerate(modules):
        shutil.copy(path, root / f"modules/{number}{''.join(path.suffixes)}")
    (root / "init").write_text((HERE / "guest.sh").read_text().replace("@BEGIN@", BEGIN).replace("@END@", END))
    (root / "init").chmod(0o755)
    archive = directory / "initramfs"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with archive.open("wb") as file:
        subprocess.run([busybox(), "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=file, check=True)
    return archive


def disk(path: Path) -> list[str]:
    with path.open("wb") as file:
        os.truncate(file.fileno(), 128 << 20)
    return ["-drive", f"file={path},if=virtio,format=raw,cache=unsafe"]


def record(package: Path) -> str:
    """What the guest printed between the marks."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        kernel, modules = unpacked(package, directory / "package")
        command = ["qemu-system-x86_64", *MACHINE, "-kernel", str(kernel), "-initrd", str(initramfs(directory, modules)), "-append", BOOT,
                   *disk(directory / "data"), *disk(directory / "swap")]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    lines = done.stdout.replace("\r", "").split(f"{BEGIN}\n")[-1]
    text, mark, _ = lines.partition(f"{END}\n")
    if not mark:
        raise SystemExit(f"the guest did not come to its end:\n{done.stdout}{done.stderr}")
    return text


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(record(Path(sys.argv[1])))
