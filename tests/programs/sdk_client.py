"""What programs do with Docker's SDK for Python, each call in the way that its users make it. Prints what has come of each as one line."""
import io
import socket
import tarfile
import threading
from collections.abc import Callable

import docker

client = docker.from_env()


def said(what: str, *values: object) -> None:
    print(what, *values, flush=True)


def versions() -> None:
    said("ping", client.ping())
    said("newest", docker.from_env(version="auto").version()["ApiVersion"] == client.api.version()["ApiVersion"])


def a_life() -> None:
    """run, exec, logs, files, stats, top, update, rename, diff, stop, wait, remove."""
    made = client.containers.run("box", ["sh", "-c", "echo up; exec sleep 1000"], detach=True, labels={"kind": "sdk"}, name="life")
    made.reload()
    said("runtime", made.attrs["HostConfig"]["Runtime"])
    first = next(iter(made.logs(stream=True, follow=True)))
    said("logs", first.decode().strip())
    code, (out, err) = made.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)
    said("exec", code, out.decode().strip(), err.decode().strip())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 7
        tar.addfile(entry, io.BytesIO(b"carried"))
    said("put", made.put_archive("/tmp", buffer.getvalue()))
    pieces, _ = made.get_archive("/tmp/file")
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        carried = tar.extractfile("file")
        said("get", carried.read().decode() if carried else "no file")
    said("top", "sleep" in str(made.top()))
    said("stats", made.stats(stream=False)["pids_stats"]["current"] > 0)
    made.rename("renamed")
    made.pause()
    made.unpause()
    said("listed", [one.name for one in client.containers.list(filters={"label": "kind=sdk"})])
    made.stop(timeout=0)
    said("wait", made.wait()["StatusCode"])
    made.remove()


def a_shell_over_its_socket() -> None:
    """exec with a socket of one's own, of which the writing half is closed: the other end sees the end, and answers all the same."""
    made = client.containers.run("box", ["sleep", "1000"], detach=True)
    started = client.api.exec_create(made.id, ["sh", "-c", "cat; echo end"], stdin=True, tty=False)
    raw = client.api.exec_start(started["Id"], socket=True)._sock
    raw.sendall(b"typed\n")
    raw.shutdown(socket.SHUT_WR)
    received = b""
    while piece := raw.recv(4096):
        received += piece
    raw.close()
    said("half", b"typed\n" in received, received.endswith(b"end\n"), client.api.exec_inspect(started["Id"])["ExitCode"])
    made.remove(force=True)


def a_long_poll() -> None:
    """Events that somebody listens to while others act."""
    seen: list[str] = []
    stream = client.events(decode=True, filters={"type": "network"})

    def listen() -> None:
        for event in stream:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    listening = threading.Thread(target=listen)
    listening.start()
    network = client.networks.create("sdk-network")
    volume = client.volumes.create("sdk-volume")
    network.remove()
    volume.remove()
    listening.join(20)
    stream.close()
    said("events", seen)


def images() -> None:
    image = client.images.get("box")
    saved = b"".join(image.save(named=True))
    said("load", [one.id for one in client.images.load(saved)] == [image.id])
    image.tag("box", "second")
    client.images.remove("box:second")
    said("errors", refusal(lambda: client.images.get("no-such-image")).partition(":")[0])


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except docker.errors.APIError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


def hosts_namespace() -> None:
    said("refused", refusal(lambda: client.containers.run("box", ["true"], pid_mode="host")).partition('("')[2].partition(" [")[0])


versions()
a_life()
a_shell_over_its_socket()
a_long_poll()
images()
hosts_namespace()
