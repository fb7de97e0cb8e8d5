"""One permitted request: its body and targets judged, written anew to the engine, and the answer brought back. trio and h11."""
from dataclasses import dataclass, replace
from typing import TypeAlias

import h11
import trio

from eci_supervisor.docker import answers, builders, requests, scope, streams
from eci_supervisor.docker.bodies import Asked, BodyRefused
from eci_supervisor.docker.client import Client, ClientGone
from eci_supervisor.docker.created import CreatedWithSocket
from eci_supervisor.docker.decision import Permitted, Refused, body_refused, malformed
from eci_supervisor.docker.head import Head, Headers, kept
from eci_supervisor.docker.route import Body, Class
from eci_supervisor.docker.strict_json import dumps, loads
from eci_supervisor.docker.target import MalformedRequest, Target
from eci_supervisor.docker.targets import Targets
from eci_supervisor.docker.upstream import EngineGone, NotThere, Upstream
from eci_supervisor.docker.versions import Versions
from eci_supervisor.model.settings import Rights

MAX_EMPTY_BODY_BYTES = 4096
Answer: TypeAlias = h11.Response | h11.InformationalResponse
_KINDS = {"/volumes/{name}": "volumes", "/networks/{id}": "networks"}


@dataclass(frozen=True, slots=True)
class Around:
    """What the exchanges of one relay have in common; versions: of its engines; created: judges a create that mounts the socket."""

    versions: Versions
    created: CreatedWithSocket


class Exchange:
    """run() raises Refused, EngineGone, ClientGone."""

    def __init__(self, client: Client, head: Head, permitted: Permitted, rights: Rights, around: Around) -> None:
        self._client, self._head, self._permitted, self._rights = client, head, permitted, rights
        self._around = around
        self._targets = Targets(rights.engine, rights)
        self._failure: Refused | ClientGone | EngineGone | None = None
        self.dropped: list[str] = []  # JSON paths of what the engine does not get

    async def run(self) -> bool:
        """Whether the client's connection can take another request."""
        try:
            await self._check_builder()
            target = await self._target()
            body = await self._judged_body()
        except BodyRefused as error:
            raise body_refused(error) from None
        except MalformedRequest as error:
            raise malformed(str(error)) from None
        except NotThere as error:
            raise Refused(404, "", str(error)) from None
        newest = target.minor if target.minor is not None else await self._around.versions.newest(self._rights.engine)
        upstream = await Upstream.connect(self._rights.engine)
        try:
            return await self._exchange(upstream, target.to_bytes(newest), body)
        finally:
            await upstream.aclose()

    async def _check_builder(self) -> None:
        route = self._permitted.route
        if Class.ELSEWHERE in route.classes and "image build" in route.blocked_by and self._rights.runtime:
            newest = await self._around.versions.newest(self._rights.engine)
            await builders.check(self._head, self._permitted.target, self._rights, newest)

    async def _target(self) -> Target:
        """The target as it goes to the engine: ids for names that were judged, lists narrowed to the socket's own. Raises NotThere."""
        permitted, target = self._permitted, self._permitted.target
        route, place, found = permitted.route, permitted.place, ""
        if route.path.startswith("/containers/{") and (permitted.needs_our_container or self._rights.own_scope):
            found = await self._targets.container(place)
        elif route.path.startswith("/exec/{") and (permitted.needs_our_container or self._rights.own_scope):
            found = await self._targets.of_exec(place)
        elif route.path in _KINDS:
            found = await self._targets.labelled(_KINDS[route.path], place)
        elif route.path == "/commit":
            found = await self._targets.container(target.value("container"))
            others = tuple(pair for pair in target.query if pair[0] != "container")
            target = replace(target, query=(*others, ("container", found)))
        if route.path == "/containers/{id}/update" and found == self._rights.container:
            raise BodyRefused("container", place, "no container may change its own limits")
        if found and place:
            target = replace(target, path=route.path.split("{")[0] + found + target.path[len(route.path.split("{")[0]) + len(place):])
        return scope.narrowed(route, target, self._rights.container) if self._rights.own_scope else target

    async def _judged_body(self) -> bytes | None:
        """The body as the engine gets it; None where it passes unread. Raises Refused, BodyRefused, MalformedRequest."""
        route = self._permitted.route
        streamed = route.body is Body.STREAM
        if route.body is Body.TAR or (streamed and not route.hijack):
            return None
        if route.body is Body.NONE or streamed:
            whole = await self._client.whole_body(MAX_EMPTY_BODY_BYTES)
            if whole.strip() not in (b"", b"null", b"{}"):
                raise MalformedRequest("this endpoint takes no body")
            return b""
        whole = await self._client.whole_body(self._rights.max_body_bytes)
        if Class.ADMIN in route.classes or Class.ELSEWHERE in route.classes:  # engineAdmin: as strict, but nothing is left out
            return dumps(loads(whole)) if whole.strip() else b""
        return await self._rebuilt(loads(whole) if whole.strip() else None)

    async def _rebuilt(self, body: object) -> bytes:
        """Two walks: one finds the containers that the body names, one writes their ids."""
        route, rights = self._permitted.route, self._rights
        first = Asked(rights.runtime, rights.container)
        requests.rebuilt(route.method, route.path, body, first)
        ours = {name: await self._targets.container(name) for name in first.containers}
        self.dropped = first.dropped
        made = requests.rebuilt(route.method, route.path, body, Asked(rights.runtime, rights.container, ours))
        if route.path == "/containers/create":
            await self._around.created.judge(made)
        return dumps(made)

    async def _exchange(self, upstream: Upstream, target: bytes, body: bytes | None) -> bool:
        """The body goes while the answer comes: the engine may answer before it has read all. An answer may take days (events), so a
        client that goes ends it."""
        again = False
        async with trio.open_nursery() as nursery:
            try:
                if body is None:
                    await upstream.ask(self._head.method, target, self._headers(body))
                    nursery.start_soon(self._send_body, upstream, nursery.cancel_scope)
                else:
                    nursery.start_soon(self._watch, nursery.cancel_scope)
                    await upstream.ask(self._head.method, target, self._headers(body), body)
                again = await self._bring_back(upstream)
            except (EngineGone, ClientGone) as error:
                self._failure = self._failure or error
            nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return again

    async def _bring_back(self, upstream: Upstream) -> bool:
        response = await upstream.response()
        self._around.versions.told(self._rights.engine, tuple(response.headers))
        if self._permitted.route.hijack and answers.is_raw(response.status_code, tuple(response.headers)):
            await self._become_stream(upstream, response)
            return False
        if response.status_code == 101:
            raise EngineGone("the engine changed the protocol, which nobody had asked for")
        return await self._answer(upstream, response)

    def _headers(self, body: bytes | None) -> Headers:
        route = self._permitted.route
        own: list[tuple[bytes, bytes]] = [(b"host", b"docker")]
        passed = kept(self._head, route.upgrades)
        own.append((b"connection", b"Upgrade" if any(name == b"upgrade" for name, _ in passed) else b"close"))
        length = self._head.value(b"content-length")
        if body is not None:
            own.append((b"content-length", str(len(body)).encode()))
        elif length:
            own.append((b"content-length", length))
        elif self._head.value(b"transfer-encoding"):
            own.append((b"transfer-encoding", b"chunked"))
        return (*own, *passed)

    async def _send_body(self, upstream: Upstream, both: trio.CancelScope) -> None:
        try:
            async for data in self._client.body():
                await upstream.send_body(data)
            await upstream.end_body()
        except (Refused, ClientGone) as error:
            self._failure = error
            both.cancel()
        await self._watch(both)

    async def _watch(self, both: trio.CancelScope) -> None:
        """Nobody waits for an answer to a client that has gone. A row that may become a stream has a reader when it has become one."""
        if self._permitted.route.hijack:
            return
        try:
            await self._client.until_gone()
        except ClientGone as error:
            self._failure = error
            both.cancel()

    async def _become_stream(self, upstream: Upstream, response: Answer) -> None:
        lines = [b"HTTP/1.1 %d %s" % (response.status_code, bytes(response.reason))]
        lines += [name.title() + b": " + value for name, value in answers.headers(tuple(response.headers), stream=True)]
        await self._client.raw(b"\r\n".join(lines) + b"\r\n\r\n" + upstream.beyond)
        if self._client.beyond:
            await upstream.stream.send_all(self._client.beyond)
        await streams.join(self._client.stream, upstream.stream)

    async def _answer(self, upstream: Upstream, response: Answer) -> bool:
        headers = answers.headers(tuple(response.headers))
        if self._permitted.route.path == "/version" and response.status_code == 200:
            return await self._answer_version(upstream, response, headers)
        again = not self._permitted.route.hijack
        if not again:
            headers = (*headers, (b"connection", b"close"))
        await self._client.answer(response.status_code, headers, bytes(response.reason))
        async for data in upstream.body(self._head.method, response):
            await self._client.answer_body(data)
        return await self._client.answered() and again

    async def _answer_version(self, upstream: Upstream, response: Answer, headers: Headers) -> bool:
        whole = await upstream.whole_body(self._head.method, response)
        try:
            body = dumps(answers.capped(loads(whole)))
        except MalformedRequest as error:
            raise EngineGone(f"the engine answered what is no JSON: {error}") from None
        others = tuple(pair for pair in headers if pair[0] != b"content-length")
        await self._client.answer(200, (*others, (b"content-length", str(len(body)).encode())))
        await self._client.answer_body(body)
        return await self._client.answered()
