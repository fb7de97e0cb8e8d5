"""Records a container's cgroup version 2 files from a real kernel: python3 -m tests.vm.record_v2 LINUX_IMAGE.deb OUTPUT.

The guest is busybox and guest.sh in an initramfs; what it prints between two marks on its serial console is the recording.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.rootfs import compile_program
from tests.vm.image import MACHINE, drive, initramfs, unpacked

HERE = Path(__file__).parent
# In the order of what each needs.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
BEGIN, END = "=== recording begins ===", "=== recording ends ==="
SIZE = ("-m", "1024", "-smp", "4")
BOOT = "console=ttyS0 quiet loglevel=0 psi=1 panic=-1 cgroup_no_v1=all"
DISK = 128 << 20
DEADLINE_S = 300.0


def record(package: Path) -> str:
    """What the guest printed between the marks."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        kernel, modules = unpacked(package, directory / "package", MODULES)
        init = (HERE / "guest.sh").read_text().replace("@BEGIN@", BEGIN).replace("@END@", END)
        archive = initramfs(directory, modules, init, compile_program(HERE / "work.c", directory / "work"))
        command = ["qemu-system-x86_64", *MACHINE, *SIZE, "-kernel", str(kernel), "-initrd", str(archive), "-append", BOOT,
                   *drive(directory / "data", DISK), *drive(directory / "swap", DISK)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    lines = done.stdout.replace("\r", "").split(f"{BEGIN}\n")[-1]
    text, mark, _ = lines.partition(f"{END}\n")
    if not mark:
        raise SystemExit(f"the guest did not come to its end:\n{done.stdout}{done.stderr}")
    return text


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(record(Path(sys.argv[1])))
