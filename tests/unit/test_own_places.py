"""What of an engine's directories belongs to one container, and the questions about places."""
import json

import pytest

from eci_supervisor.mounts.mountinfo import parse_line
from eci_supervisor.oci.engine import CallingEngine, calling_engine
from eci_supervisor.oci.own_places import PODMANS_VOLUMES, OwnPlaces, data_root, own_places
from eci_supervisor.oci.places import Entry, Located, Place, contained, inside, place_of
from eci_supervisor.oci.spec import Json, Spec, parse_spec

ID = "c" * 64
UID = "0a1b2c3d-1111-2222-3333-444455556666"


def spec(*mounts: tuple[str, str], cgroups: str = "/x", annotations: dict[str, str] | None = None) -> Spec:
    binds = [{"destination": destination, "type": "bind", "source": source} for destination, source in mounts]
    return parse_spec(json.dumps({"root": {"path": "rootfs"}, "linux": {"cgroupsPath": cgroups}, "mounts": binds,
                                  "annotations": annotations or {}}).encode())


def test_docker() -> None:
    own = own_places(spec(("/etc/hosts", f"/data/containers/{ID}/hosts")), ID, "/run/b")
    assert own == OwnPlaces(("/run/b", f"/data/containers/{ID}"), (), ("/data/volumes", PODMANS_VOLUMES), "/data")


@pytest.mark.parametrize(("destination", "source"), [
    ("/etc/hosts", "/data/containers/other/hosts"), ("/x", f"/data/containers/{ID}/hosts"), ("/etc/hosts", f"data/containers/{ID}/hosts"),
    ("/etc/hostname", f"/data/containers/{ID}/hosts"),
])  # fmt: skip
def test_no_data_root(destination: str, source: str) -> None:
    assert data_root(spec((destination, source)), ID) == ""
    assert data_root(spec(("/etc/hosts", "/containers//hosts")), "") == ""


def test_a_step_of_buildkit() -> None:
    """What BuildKit makes for a step is its own, and a path of the host is not, however the spec came by it."""
    own = ("buildkit/executor/resolv.conf", "buildkit/executor/hosts.abc", "tmp/buildkit-secrets12/xyz",
           "tmp/.buildkit-ssh-sock3/ssh_auth_sock", "overlay2/abc/diff", "overlay2/abc/merged/a/b")  # fmt: skip
    others = ("buildkit/executor/other/rootfs", "containers/x/hosts", "overlay2/abc", "tmp/x")
    hook: list[Json] = [{"path": "/proc/77/exe", "args": ["libnetwork-setkey", "-exec-root=/run/docker", "sandbox", "x"]}]
    made = spec(*((f"/m{index}", f"/data/{path}") for index, path in enumerate(own + others)), ("/etc", "/etc"))
    step = made.put("hooks", "prestart", value=hook)
    found = own_places(step, "abc", "/data/buildkit/executor/abc")
    assert (found.exactly, found.data_root) == (tuple(f"/data/{path}" for path in own), "/data")
    for strange, bundle in ((made, "/data/buildkit/executor/abc"), (step, "/data/buildkit/executor/abcd"), (step, "/run/abc")):
        assert own_places(strange, "abc", bundle).exactly == ()


@pytest.mark.parametrize(("hooks", "expected"), [
    ([{"path": "/proc/77/exe", "args": ["libnetwork-setkey", "-exec-root=/run/docker", "s", "x"]}], CallingEngine(77, "/run/docker")),
    ([{"path": "/bin/x"}, {"path": "/proc/7/exe", "args": ["libnetwork-setkey", "s"]}], CallingEngine(7)),
    ([{"path": "/proc/self/exe", "args": ["libnetwork-setkey"]}], CallingEngine()),
    ([{"path": "/proc/7/exe", "args": ["x"]}], CallingEngine()), (["x"], CallingEngine()), (None, CallingEngine()),
])  # fmt: skip
def test_the_engine_that_calls(hooks: list[Json], expected: CallingEngine) -> None:
    assert calling_engine(spec().put("hooks", "prestart", value=hooks)) == expected


@pytest.mark.parametrize("cgroups", [
    f"/kubepods/burstable/pod{UID}/{ID}", f"kubepods-besteffort-pod{UID.replace('-', '_')}.slice:cri-containerd:{ID}",
])  # fmt: skip
def test_a_pod(cgroups: str) -> None:
    own = own_places(spec(cgroups=cgroups, annotations={"io.kubernetes.cri.sandbox-id": ID}), "x", "/b")
    assert own.below == ("/b", f"/var/lib/kubelet/pods/{UID}")
    assert f"/run/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/shm" in own.exactly
    assert len(own.exactly) == 8


def test_an_annotation_that_is_no_id() -> None:
    assert own_places(spec(annotations={"io.kubernetes.cri.sandbox-id": "../../x"}), "x", "/b").exactly == ()
    assert own_places(spec(cgroups="/user/podx"), "x", "/b").below == ("/b",)


ROOT = parse_line(b"1 0 8:1 / / rw - ext4 /dev/sda rw")
BOUND = parse_line(b"2 1 8:1 /etc/docker/certs.d /mnt/x rw - ext4 /dev/sda rw")
TMPFS = parse_line(b"3 1 0:20 / /run rw - tmpfs tmpfs rw")


def located(path: str, inode: int, line: object = ROOT) -> Located:
    return Located(path, (8, inode), place_of(path.encode(), line))  # type: ignore[arg-type] # one of the three above


DOCKER = Entry("/etc/docker", located("/etc/docker", 10), (located("/etc", 2), located("/", 1)))
ENGINE = Entry("/run/docker.sock", located("/run/docker.sock", 20, TMPFS), (located("/run", 3, TMPFS), located("/", 1)))
MISSING = Entry("/etc/eci", None, (located("/etc", 2), located("/", 1)))


def test_a_bind_keeps_its_place() -> None:
    assert place_of(b"/mnt/x/sub", BOUND) == Place((8, 1), b"/etc/docker/certs.d/sub")
    assert place_of(b"/", ROOT) == Place((8, 1), b"/")
    assert inside(located("/mnt/x/sub", 99, BOUND), (), (DOCKER,)) is DOCKER
    assert inside(located("/etc/dockerx", 99), (), (DOCKER, MISSING)) is None


def test_by_identity_whatever_the_place() -> None:
    assert inside(located("/home/hard-link", 10), (), (DOCKER,)) is DOCKER
    assert inside(located("/elsewhere/below", 99), (located("/elsewhere", 10),), (DOCKER,)) is DOCKER


def test_what_contains_an_entry() -> None:
    assert contained(located("/etc", 2), (), (DOCKER,)) is DOCKER
    assert contained(located("/", 1), (), (ENGINE,)) is ENGINE
    assert contained(located("/etc", 2), (), (MISSING,)) is MISSING
    assert contained(located("/home", 50), (), (DOCKER, ENGINE, MISSING)) is None
    assert contained(located("/home", 50), (Place((8, 1), b"/etc/docker/certs.d"),), (DOCKER,)) is DOCKER
    assert contained(located("/home", 50), (Place((8, 1), b"/etc"),), (DOCKER,)) is DOCKER
