"""Which file systems this kernel knows."""


def is_known(name: bytes) -> bool:
    """Whether /proc/filesystems has it, what stands behind a dot left away. One in a module that is not loaded it has not."""
    with open("/proc/filesystems", "rb") as file:
        return name.partition(b".")[0] in {line.split()[-1] for line in file}
