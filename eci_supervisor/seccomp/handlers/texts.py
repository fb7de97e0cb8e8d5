"""What the kernel says about strings before it looks at anything else."""
from errno import EFAULT, EINVAL, ENAMETOOLONG, ENOENT

from eci_supervisor.model.notification import Text

NOTHING = Text(b"", 0, null=True)


def path_errno(text: Text) -> int:
    """Of getname(): 0 if the kernel would walk it."""
    if text.null:
        return EFAULT
    return text.errno or (0 if text.value else ENOENT)


def string_errno(text: Text) -> int:
    """Of copy_mount_string(), for mount(2)'s source and type: NULL is none, too long is EINVAL and not ENAMETOOLONG."""
    if text.null:
        return 0
    return EINVAL if text.errno == ENAMETOOLONG else text.errno


def page_errno(text: Text) -> int:
    """Of copy_mount_options(), for mount(2)'s data: only a page of which nothing can be read is an error."""
    return EFAULT if text.errno and not text.null else 0
