"""What a guest boots: a Debian kernel package, an initramfs with the modules that it needs at once, disks."""
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.rootfs import busybox

MACHINE = ("-display", "none", "-serial", "stdio", "-no-reboot", "-accel", "tcg,thread=multi")


def unpacked(package: Path, directory: Path, modules: tuple[str, ...]) -> tuple[Path, list[Path]]:
    """The kernel of a Debian package, and these of its modules in their order. Modules that are built in are left out."""
    subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
    found = {path.name.partition(".")[0].replace("-", "_"): path for path in directory.glob("**/*.ko*")}
    return next(directory.glob("boot/vmlinuz-*")), [found[name] for name in modules if name in found]


def initramfs(directory: Path, modules: list[Path], init: str, *programs: Path) -> Path:
    """A cpio archive with busybox, programs in its /bin, modules in /modules in the order of their names, and its init."""
    root = directory / "root"
    for name in ("bin", "dev", "proc", "sys", "modules"):
        (root / name).mkdir(parents=True)
    for program in (Path(busybox()), *programs):
        shutil.copy(program, root / "bin" / program.name)
    for number, path in enumerate(modules):
        shutil.copy(path, root / f"modules/{number:02}{''.join(path.suffixes)}")
    (root / "init").write_text(init)
    (root / "init").chmod(0o755)
    archive = directory / "initramfs"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with archive.open("wb") as file:
        subprocess.run([busybox(), "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=file, check=True)
    return archive


def drive(path: Path, size: int = 0) -> list[str]:
    """qemu's option for a disk; it is made, size bytes long, where it is not there."""
    if size:
        with path.open("wb") as file:
            os.truncate(file.fileno(), size)
    return ["-drive", f"file={path},if=virtio,format=raw,cache=unsafe"]
