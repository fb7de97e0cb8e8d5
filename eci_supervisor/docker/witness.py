"""Requests to a Docker socket as events: each refusal, and each that runs code, administers the engine or shows content. No bodies."""
import secrets
import time

from eci_supervisor.model.event import Event
from eci_supervisor.model.settings import Rights
from eci_supervisor.observe.audit import AuditFile


class Witness:
    """container, root: whose socket it is; empty for the gateway. file: the settings, where no rights say which."""

    def __init__(self, audit: AuditFile, container: str = "", root: str = "", file: str = "") -> None:
        self._audit, self._container, self._root, self._file = audit, container, root, file

    def request(self, rights: Rights | None, method: str, target: str, verdict: str, code: str, why: str, where: str = "") -> str:
        """Records one request; the event's id. rights: None where the image has lost them, or nothing was read yet; where: the JSON path
        in the settings that decided."""
        image, entry = (rights.image.reference or rights.image.id, rights.entry) if rights is not None else ("", "")
        place = self._place(rights, where) if where else {}
        event = Event(
            id=secrets.token_hex(8), time=time.time(), container=self._container, root=self._root, pid=0, tid=0, uid=None,
            call="docker", abi="", args={"method": method, "target": target, "image": image, "entry": entry, **place},
            verdict=verdict, errno=0, rule=code, why=why)  # fmt: skip
        self._audit.write(event)
        return event.id

    def _place(self, rights: Rights | None, where: str) -> dict[str, str]:
        line = rights.lines.get(where) if rights is not None else None
        file = rights.file if rights is not None else self._file
        return {"settings": where, "file": file, **({"line": str(line)} if line else {})}
