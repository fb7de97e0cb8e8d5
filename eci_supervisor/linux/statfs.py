"""statfs(2), for what os.statvfs leaves out: which file system it is."""
from typing import Final

from eci_supervisor.native import check, lib

PROC_MAGIC: Final = 0x9FA0
SYSFS_MAGIC: Final = 0x62656572
CGROUP2_MAGIC: Final = 0x63677270
FUSE_MAGIC: Final = 0x65735546
OVERLAY_MAGIC: Final = 0x794C7630


def file_system_magic(fd: int) -> int:
    """The magic number of the file system that an fd, an O_PATH one too, is on."""
    return check(lib.eci_fs_magic(fd), f"fstatfs {fd}")
