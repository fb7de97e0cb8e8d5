"""What of an engine's directories belongs to one container: its own files there, and where volumes are. Pure.

| engine | the container's own |
|---|---|
| all | the bundle (Podman keeps hosts, resolv.conf and shm in it) |
| Docker | DATA/containers/ID, DATA being known by a mount of hostname, hosts, resolv.conf or shm from there: the id is nobody's to choose |
| kubelet | /var/lib/kubelet/pods/UID, the uid being that of the cgroup |
| Docker's BuildKit | of a step whose bundle it keeps: its names and name servers, secrets, the client's ssh agent, and layers |
| containerd's CRI | hostname, hosts, resolv.conf and shm of its sandbox. An annotation names the sandbox, so it is these four alone |
"""
import posixpath
import re
from dataclasses import dataclass
from typing import Final

from eci_supervisor.oci.engine import calling_engine
from eci_supervisor.oci.spec import Spec

ENGINES_MOUNTS: Final = {"/etc/hostname": "hostname", "/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf", "/dev/shm": "mounts/shm"}
SANDBOX: Final = "io.kubernetes.cri.sandbox-id"
SANDBOXES: Final = ("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes", "/run/containerd/io.containerd.grpc.v1.cri/sandboxes")
SANDBOX_FILES: Final = ("hostname", "hosts", "resolv.conf", "shm")
PODS: Final = "/var/lib/kubelet/pods"
POD: Final = re.compile(r"[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice|/|$)")
IDENTIFIER: Final = re.compile(r"[0-9a-f]{64}")
BUILDKITS: Final = (r"/(buildkit/executor/(resolv\.conf|hosts(\.\w+)?)|tmp/buildkit-secrets\d+/\w+|"
                    r"tmp/\.buildkit-ssh-sock\d+/ssh_auth_sock|overlay2/\w+/(merged|diff)(/.*)?)")  # fmt: skip
PODMANS_VOLUMES: Final = "/var/lib/containers/storage/volumes"


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """Absolute paths. below: directories whose content is the container's own; exactly: files; volumes: directories of NAME/_data.

    data_root: Docker's, "" where it is not known.
    """

    below: tuple[str, ...] = ()
    exactly: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    data_root: str = ""


def own_places(spec: Spec, container: str, bundle: str) -> OwnPlaces:
    """`container`: the engine's id; bundle: absolute."""
    builders = builders_root(spec, container, bundle)
    root, pod = builders or data_root(spec, container), POD.search(spec.cgroups_path)
    below = [bundle] if bundle != "/" else []
    if root:
        below.append(f"{root}/containers/{container}")
    if pod:
        below.append(f"{PODS}/{pod[1].replace('_', '-')}")
    sandbox = spec.annotation(SANDBOX)
    files = [f"{above}/{sandbox}/{name}" for above in SANDBOXES for name in SANDBOX_FILES] if IDENTIFIER.fullmatch(sandbox) else []
    if root:
        files += joined(spec, root)
    if builders:
        files += [mount.source for mount in spec.mounts if re.fullmatch(re.escape(builders) + BUILDKITS, mount.source)]
    volumes = (f"{root}/volumes", PODMANS_VOLUMES) if root else (PODMANS_VOLUMES,)
    return OwnPlaces(tuple(below), tuple(files), volumes, root)


def joined(spec: Spec, root: str) -> list[str]:
    """What Docker mounts of another container whose namespace is joined: its shared memory, or its names and name servers."""
    kinds = [kind for kind in ("ipc", "network") if (found := spec.namespace(kind)) is not None and found.path]
    names = [name for at, name in ENGINES_MOUNTS.items() if ("ipc" if at == "/dev/shm" else "network") in kinds]
    theirs = re.compile(rf"{re.escape(root)}/containers/[0-9a-f]{{64}}/({'|'.join(map(re.escape, names))})") if names else None
    return [mount.source for mount in spec.mounts if theirs is not None and theirs.fullmatch(mount.source)
            and ENGINES_MOUNTS.get(mount.destination, "-") in mount.source]  # fmt: skip


def data_root(spec: Spec, container: str) -> str:
    """Docker's data root, as the files it makes for each container tell; "" for other engines."""
    for mount in spec.mounts:
        name = ENGINES_MOUNTS.get(mount.destination)
        tail = f"/containers/{container}/{name}"
        if name and container and mount.source.startswith("/") and mount.source.endswith(tail):
            return posixpath.normpath(mount.source.removesuffix(tail) or "/").rstrip("/")
    return ""


def builders_root(spec: Spec, container: str, bundle: str) -> str:
    """Docker's data root where a bundle is that of a step of its BuildKit's, which mounts by its own decision; "" for any other.

    A client names layers, secrets and caches of its build, never a path of the host.
    """
    tail = f"/buildkit/executor/{container}"
    return bundle.removesuffix(tail) if container and bundle.endswith(tail) and calling_engine(spec).pid else ""
