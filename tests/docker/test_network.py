"""Networks and namespaces shared between containers."""
import pytest

from tests.docker.conftest import PLAIN
from tests.support.engine import Engine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.requires("root", "busybox", "compiler", "dockerd", "docker", "runc", "seccomp_notify", "fuse")
SERVE = "echo page >/tmp/index.html; exec httpd -f -p 80 -h /tmp"


def address(engine: Engine, container: str) -> str:
    return engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container).ok().out.strip()


def test_published_port(engine: Engine) -> None:
    engine.detached("-p", "127.0.0.1:8080:80", "box", "sh", "-c", SERVE)
    get = ("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
    wait_until(lambda: engine.inside_network(*get).out == "page\n", "the page comes through the published port")


def test_port_below_1024_as_a_user(engine: Engine) -> None:
    """Docker sets net.ipv4.ip_unprivileged_port_start=0: written as container root, in the container's own network namespace."""
    container = engine.detached("--user", "1000", "box", "sh", "-c", SERVE)
    get = ("exec", container, "wget", "-q", "-O", "-", "http://127.0.0.1/")
    wait_until(lambda: engine.docker(*get).out == "page\n", "the page is served on port 80")


def test_ping_as_a_user(engine: Engine) -> None:
    assert engine.run("--user", "1000", "box", "ping", "-c", "1", "127.0.0.1").status in (0, 1)
    shown = engine.run("box", "cat", "/proc/sys/net/ipv4/ping_group_range").ok().out.split()
    assert shown == (["0", "2147483647"] if PLAIN else ["0", "65535"])


def test_containers_reach_each_other(engine: Engine) -> None:
    server = engine.detached("box", "sh", "-c", SERVE)
    client = engine.detached("box", "sleep", "1000")
    get = ("exec", client, "wget", "-q", "-O", "-", f"http://{address(engine, server)}/")
    wait_until(lambda: engine.docker(*get).out == "page\n", "the page comes over the bridge")


def test_own_network_with_names(engine: Engine) -> None:
    engine.docker("network", "create", "named").ok()
    engine.detached("--network", "named", "--name", "server", "box", "sh", "-c", SERVE)
    client = engine.detached("--network", "named", "box", "sleep", "1000")
    get = ("exec", client, "wget", "-q", "-O", "-", "http://server/")
    wait_until(lambda: engine.docker(*get).out == "page\n", "the name is resolved and the page comes")
    engine.remove_all()
    engine.docker("network", "rm", "named").ok()


def test_network_none(engine: Engine) -> None:
    assert engine.run("--network", "none", "box", "ls", "/sys/class/net").ok().out == "lo\n"


def links(engine: Engine, container: str, kind: str) -> str:
    return engine.docker("exec", container, "readlink", f"/proc/self/ns/{kind}").ok().out


@pytest.mark.parametrize(("option", "kind"), [("network", "net"), ("ipc", "ipc"), ("pid", "pid")])
def test_shared_namespace(engine: Engine, option: str, kind: str) -> None:
    """Who joins a namespace joins the user namespace that owns it, with the same ids."""
    shareable = ("--ipc", "shareable") if option == "ipc" else ()
    first = engine.detached(*shareable, "box", "sleep", "1000")
    second = engine.detached(f"--{option}=container:{first}", "box", "sleep", "1000")
    assert links(engine, first, kind) == links(engine, second, kind)
    assert links(engine, first, "mnt") != links(engine, second, "mnt")
    maps = [engine.docker("exec", container, "cat", "/proc/self/uid_map").ok().out for container in (first, second)]
    assert maps[0] == maps[1]
    assert PLAIN or links(engine, first, "user") == links(engine, second, "user")


def test_member_of_a_network_outlives_its_owner(engine: Engine) -> None:
    """The id range is leased for as long as anybody in the user namespace lives: a third container gets another one."""
    first = engine.detached("box", "sleep", "1000")
    second = engine.detached(f"--network=container:{first}", "box", "sleep", "1000")
    engine.docker("rm", "--force", first).ok()
    third = engine.detached("box", "sleep", "1000")
    maps = [engine.docker("exec", container, "cat", "/proc/self/uid_map").ok().out for container in (second, third)]
    assert PLAIN or maps[0] != maps[1]


def test_two_containers_have_two_ranges(engine: Engine) -> None:
    maps = {engine.docker("exec", engine.detached("box", "sleep", "1000"), "cat", "/proc/self/uid_map").ok().out for _ in range(2)}
    assert PLAIN or len(maps) == 2
