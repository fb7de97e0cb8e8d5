"""Events of one container or of all, from their supervisors."""
import selectors
import time
from collections.abc import Callable, Iterator

from eci_supervisor.control import client
from eci_supervisor.control.client import Connection, Unanswered
from eci_supervisor.control.protocol import Events
from eci_supervisor.life import record
from eci_supervisor.linux.paths import StateDir

LOOK_AGAIN_S = 0.5  # for containers that have come meanwhile
Show = Callable[[dict[str, object]], None]


def present(state_dir: StateDir, key: str | None) -> Iterator[dict[str, object]]:
    """What the supervisors still have, in order of time. Without a key of all containers, those that nobody supervises left out."""
    found: list[dict[str, object]] = []
    for one in _keys(state_dir, key):
        try:
            found += client.events(state_dir.container(one))
        except Unanswered:
            if key is not None:
                raise
    return iter(sorted(found, key=_time))


def follow(state_dir: StateDir, key: str | None, show: Show) -> None:
    """Shows what is there and what comes. With a key it returns when that container's supervisor ends, else never."""
    with selectors.DefaultSelector() as selector:
        connected: dict[str, Connection] = {}
        looked = 0.0
        while key is None or connected or not looked:
            if time.monotonic() - looked >= LOOK_AGAIN_S and (key is None or not looked):
                looked = time.monotonic()
                for one in _keys(state_dir, key):
                    if one not in connected and (connection := _follow_one(state_dir, one, required=key is not None)):
                        connected[one] = connection
                        selector.register(connection, selectors.EVENT_READ, one)
            for ready, _ in selector.select(LOOK_AGAIN_S):
                if not _show_ready(connected[ready.data], show):
                    selector.unregister(connected[ready.data])
                    connected.pop(ready.data).close()


def _follow_one(state_dir: StateDir, key: str, *, required: bool) -> Connection | None:
    try:
        connection = Connection(state_dir.container(key))
        connection.send(Events(follow=True))
    except Unanswered:
        if required:
            raise
        return None
    return connection


def _show_ready(connection: Connection, show: Show) -> bool:
    """Shows what has come. False: nothing will come any more."""
    try:
        lines = connection.receive()
    except Unanswered:
        return False
    for line in lines or ():
        event = line.get("event")
        if isinstance(event, dict):
            show(event)
    return lines is not None


def _keys(state_dir: StateDir, key: str | None) -> list[str]:
    return [key] if key is not None else [state.key for state in record.load_all(state_dir)]


def _time(event: dict[str, object]) -> float:
    when = event.get("time")
    return float(when) if isinstance(when, int | float) else 0.0
