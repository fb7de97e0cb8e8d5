"""What becomes of a request, from its head alone: classes first, then the command list, then the query. No I/O.

Source of the order and the words: the contract with those who know Docker's ECI; a text's core is Docker's own.
"""
from dataclasses import dataclass

from eci_supervisor.docker import lists, queries
from eci_supervisor.docker.bodies import BodyRefused
from eci_supervisor.docker.head import Head
from eci_supervisor.docker.route import NEWEST_MINOR, Body, Class, Route
from eci_supervisor.docker.routes import find
from eci_supervisor.docker.target import MalformedRequest, Target, UnsupportedVersion, parse
from eci_supervisor.model.settings import Policy, Rights

PREFIX = "enhanced container isolation: "
# JSON paths of the settings that refuse.
IMAGES = "enhancedContainerIsolation.dockerSocketMount.imageList.images"
BUILDS = "eci.dockerSocket.builds"
ENGINE_ADMIN = "eci.dockerSocket.engineAdmin"
MAX_BODY = "eci.dockerSocket.maxBodyBytes"
MAX_TARGET_SHOWN = 1024


class Refused(Exception):
    """An answer of the relay's own: HTTP status, code of the audit event (header X-ECI-Code), and the sentence for the client.

    code "": it is the engine's answer to a question of ours, and no event. where: the JSON path in the settings that refuses.
    """

    def __init__(self, status: int, code: str, text: str, where: str = "") -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.where = status, code, text, where


@dataclass(frozen=True, slots=True)
class Permitted:
    """A request that may pass once its body and its targets have been judged.

    place: what stands in the route's first place ("" for none); learned: the list would have refused it.
    """

    route: Route
    target: Target
    place: str
    learned: bool = False

    @property
    def needs_our_container(self) -> bool:
        """Whether it writes to, or runs something in, one container or exec, which must be under this runtime."""
        if not self.route.path.startswith(("/containers/{", "/exec/{")):
            return False
        return bool(self.route.classes & {Class.WRITES, Class.RUNS})


def decide(head: Head, rights: Rights) -> Permitted:
    """Raises Refused."""
    try:
        target = parse(head.target)
    except MalformedRequest as error:
        raise malformed(str(error)) from None
    except UnsupportedVersion as error:
        raise Refused(400, "socket.request", str(error)) from None
    found = find(head.method, target.path, NEWEST_MINOR if target.minor is None else target.minor, target.keys)
    if found is None or Class.NEVER in found[0].classes:
        raise Refused(404, "socket.unknown", f'{PREFIX}unknown docker API endpoint "{head.method} {shown(head.target)}"')
    route, place = found
    _check_class(route, head, rights)
    listed = lists.refuses(rights.commands, route)
    if listed and not rights.learn:
        raise blocked("socket.command", head, f"the docker socket command list in {rights.file}", rights.commands.where)
    try:
        queries.check(route.method, route.path + (f"?{route.query}" if route.query else ""), target)
        _check_media(route, head)
    except BodyRefused as error:
        raise body_refused(error) from None
    except MalformedRequest as error:
        raise malformed(str(error)) from None
    return Permitted(route, target, place, listed)


def malformed(what: str) -> Refused:
    return Refused(400, "socket.request", f"{PREFIX}malformed request: {what}")


def blocked(code: str, head: Head, what: str, where: str) -> Refused:
    """what: would allow it, in which file or elsewhere; where: the JSON path that refuses."""
    sentence = f'{PREFIX}docker command "{shown(head.target)}" is blocked; if you wish to allow it, configure {what}.'
    return Refused(403, code, sentence, where)


def body_refused(error: BodyRefused) -> Refused:
    return Refused(403, "socket.body", f"{PREFIX}docker socket: {error}")


def too_large(limit: int) -> Refused:
    return Refused(413, "socket.request", f"{PREFIX}malformed request: the body is larger than {limit} bytes", MAX_BODY)


def shown(target: bytes) -> str:
    """A target as a sentence quotes it: printable ASCII, not endless."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in target[:MAX_TARGET_SHOWN])


def _check_class(route: Route, head: Head, rights: Rights) -> None:
    if Class.ELSEWHERE in route.classes and "image build" in route.blocked_by and not rights.builds:
        raise blocked("socket.engine", head, f"{BUILDS} in {rights.file}", BUILDS)
    elsewhere = Class.ELSEWHERE in route.classes and "image build" not in route.blocked_by
    if (elsewhere or Class.ADMIN in route.classes) and not rights.engine_admin:
        raise blocked("socket.engine", head, f"{ENGINE_ADMIN} in {rights.file}", ENGINE_ADMIN)


def lines(policy: Policy) -> dict[str, int]:
    """Where in the settings file those stand that may refuse a request."""
    lists = (policy.socket.commands.where, *(entry.commands.where for entry in policy.socket.entries))
    return {where: policy.line(where) for where in (IMAGES, BUILDS, ENGINE_ADMIN, MAX_BODY, *lists) if policy.line(where)}


def _check_media(route: Route, head: Head) -> None:
    """A form overrides the query in the engine's eyes; a body in a coding is one that nobody here has read."""
    if not head.has_body:
        return
    coded = head.value(b"content-encoding") not in (b"", b"identity")
    form = head.media_type in (b"application/x-www-form-urlencoded", b"multipart/form-data")
    json = route.body is Body.JSON and head.media_type != b"application/json"
    charset = b"charset" in head.value(b"content-type").lower() and b"utf-8" not in head.value(b"content-type").lower()
    if coded or form or json or charset:
        raise Refused(415, "socket.request", f"{PREFIX}malformed request: the body's media type or coding is none that this endpoint takes")
