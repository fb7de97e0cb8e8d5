"""Where our files are. The one place that knows the layout of the state directory."""
from dataclasses import dataclass

DEFAULT_STATE_DIR = "/run/eci"
DEFAULT_AUDIT_DIR = "/var/log/eci"
DEFAULT_SETTINGS = "/etc/eci/admin-settings.json"
DESKTOP_SETTINGS = "/usr/share/docker-desktop/admin-settings.json"  # Docker Desktop's own on Linux: read where ours does not exist
OVERLAY_WORK = "eci-work"  # our overlay's work directory, beside the engine's


@dataclass(frozen=True, slots=True)
class StateDir:
    """The state directory (0711) and what is in it."""

    path: str = DEFAULT_STATE_DIR

    @property
    def fork_socket(self) -> str:
        """The fork server's socket: SOCK_SEQPACKET, 0600."""
        return f"{self.path}/fork.sock"

    @property
    def fork_lock(self) -> str:
        return f"{self.path}/fork.lock"

    @property
    def fork_log(self) -> str:
        """What the fork server has to say."""
        return f"{self.path}/fork.log"

    @property
    def leases(self) -> str:
        return f"{self.path}/leases"

    @property
    def features(self) -> str:
        """What the real runtimes have said of themselves."""
        return f"{self.path}/features.json"

    @property
    def policy(self) -> str:
        """The settings, compiled."""
        return f"{self.path}/policy.bin"

    @property
    def last_good_policy(self) -> str:
        """A copy of the last settings file without errors."""
        return f"{self.path}/policy.last"

    @property
    def lasting(self) -> str:
        """What outlives a boot: digests of images, the user's choice. Root's alone."""
        return "/var/lib/eci" if self.path == DEFAULT_STATE_DIR else f"{self.path}/lib"

    @property
    def digests(self) -> str:
        return f"{self.lasting}/digests.json"

    @property
    def choice(self) -> str:
        return f"{self.lasting}/choice.json"

    @property
    def containers(self) -> str:
        return f"{self.path}/c"

    @property
    def staging(self) -> str:
        """An empty directory, over which create and the supervisor mount a tmpfs in mount namespaces of their own."""
        return f"{self.path}/stage"

    @property
    def staged_rootfs(self) -> str:
        """A container's root file system in such a mount namespace; an empty directory in the host's."""
        return f"{self.staging}/rootfs"

    def container(self, key: str) -> "ContainerDir":
        return ContainerDir(f"{self.containers}/{key}")


@dataclass(frozen=True, slots=True)
class ContainerDir:
    """One container's directory (0700)."""

    path: str

    @property
    def state(self) -> str:
        return f"{self.path}/state.json"

    @property
    def config(self) -> str:
        """The rewritten config.json, bound over the bundle's in create's private mount namespace."""
        return f"{self.path}/config.json"

    @property
    def overlays(self) -> str:
        """The engine's overlay and ours, for the fork server that comes after the one that keeps them fresh; absent without overlays."""
        return f"{self.path}/overlays.json"

    @property
    def late_binds(self) -> str:
        """What create leaves to the hook to attach; absent where that is nothing."""
        return f"{self.path}/late.json"

    @property
    def listed(self) -> str:
        """What rules for sources and targets of mounts are about in it; absent where that is nothing."""
        return f"{self.path}/listed.json"

    @property
    def notify_socket(self) -> str:
        """The seccomp listenerPath."""
        return f"{self.path}/notify.sock"

    @property
    def control_socket(self) -> str:
        return f"{self.path}/control.sock"

    @property
    def tunables(self) -> str:
        return f"{self.path}/tunables.json"

    @property
    def policy(self) -> str:
        """The admin's policy as it was when the container was made."""
        return f"{self.path}/policy.json"

    @property
    def rights(self) -> str:
        """What its Docker socket may be used for; not there where it has none."""
        return f"{self.path}/rights.json"

    @property
    def docker_socket(self) -> str:
        """The relay's listening socket, which the container sees in place of the engine's."""
        return f"{self.path}/docker.sock"
