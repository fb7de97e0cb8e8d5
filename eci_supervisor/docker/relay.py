"""The relay: a Docker socket of a container's own. Each request is read, decided, and written anew to the engine. trio.

    client ── head as bytes ─► decision ─► body and targets judged ─► a new request on a new connection ─► engine
       ▲                          └ refused: the sentence, and the connection ends                           │
       └──────────────── the answer, hop-by-hop headers and versions written anew ◄──────────────────────────┘

Nothing of a client's bytes reaches the engine but bodies that the route passes unread, and a raw stream on a route that may become one
and whose answer says that it has.
"""
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from eci_supervisor.docker.client import Client, ClientGone
from eci_supervisor.docker.created import CreatedWithSocket
from eci_supervisor.docker.decision import IMAGES, PREFIX, Permitted, Refused, decide, shown
from eci_supervisor.docker.exchange import Around, Exchange
from eci_supervisor.docker.head import Head
from eci_supervisor.docker.route import Class
from eci_supervisor.docker.upstream import EngineGone
from eci_supervisor.docker.versions import Versions
from eci_supervisor.model.settings import Rights

LOG = logging.getLogger(__name__)
MOST_CLIENTS = 256
BACKLOG = 1024  # beyond it a connect fails, where a client would rather wait
MAX_DROPPED_SHOWN = 500
NO_FILES_S = 0.1
AUDITED = frozenset({Class.RUNS, Class.ELSEWHERE, Class.ADMIN, Class.SHOWS})


class Journal(Protocol):
    """Where requests are recorded; the id stands at the end of a refusal's sentence."""

    def request(self, rights: Rights | None, method: str, target: str, verdict: str, code: str, why: str, where: str = "") -> str: ...


class Relay:
    """rights: asked before each request, so that a change of the policy holds from the next one; None: the right is gone."""

    def __init__(self, rights: Callable[[], Awaitable[Rights | None]], journal: Journal, created: CreatedWithSocket) -> None:
        self._rights, self._journal = rights, journal
        self._around = Around(Versions(), created)
        self._places = trio.CapacityLimiter(MOST_CLIENTS)
        self._idle: dict[Client, trio.CancelScope] = {}  # between two requests, or amid a head: the longest first

    async def run(self, listener: trio.SocketListener) -> None:
        """Serves for ever. With MOST_CLIENTS at once, the one that has asked nothing for longest goes, else clients wait to be accepted."""
        async with trio.open_nursery() as nursery:
            while True:
                if not self._places.available_tokens and self._idle:
                    next(iter(self._idle.values())).cancel()
                await self._places.acquire_on_behalf_of(place := object())
                try:
                    stream = await listener.accept()
                except OSError:  # no descriptor for it: it waits in the listener's queue
                    self._places.release_on_behalf_of(place)
                    await trio.sleep(NO_FILES_S)
                    continue
                nursery.start_soon(self._serve, stream, place)

    async def _serve(self, stream: trio.SocketStream, place: object) -> None:
        try:
            await self._converse(Client(stream))
        except (ClientGone, trio.BrokenResourceError, trio.ClosedResourceError):
            return
        except Exception:  # the boundary of one client: whatever a request did to us, others are served, and this one ends
            LOG.exception("relay: a request failed")
        finally:
            self._places.release_on_behalf_of(place)
            await trio.aclose_forcefully(stream)

    async def _converse(self, client: Client) -> None:
        while True:
            head, rights = None, None
            try:
                head = await self._next_head(client)
                if head is None:
                    return
                rights = await self._rights()
                if not await self._request(client, head, rights):
                    return
            except Refused as refused:
                await self._refuse(client, head, rights, refused)
                return

    async def _next_head(self, client: Client) -> Head | None:
        with trio.CancelScope() as scope:
            self._idle[client] = scope
            try:
                return await client.next_head()
            finally:
                del self._idle[client]
        return None

    async def _request(self, client: Client, head: Head, rights: Rights | None) -> bool:
        """Whether the connection can take another request. Raises Refused."""
        if rights is None:
            raise Refused(403, "socket.image", f"{PREFIX}docker socket mount denied: the image is no longer in the allowed list", IMAGES)
        permitted = decide(head, rights)
        self._record(head, permitted, rights)
        exchange = Exchange(client, head, permitted, rights, self._around)
        try:
            return await exchange.run()
        except EngineGone as error:
            raise Refused(502, "socket.gone", f"{PREFIX}docker socket: {error}") from None
        finally:
            if exchange.dropped:
                why = f"left out: {', '.join(exchange.dropped)[:MAX_DROPPED_SHOWN]}"
                self._journal.request(rights, head.method, shown(head.target), "info", "socket.body", why)

    def _record(self, head: Head, permitted: Permitted, rights: Rights) -> None:
        if permitted.learned:
            self._journal.request(rights, head.method, shown(head.target), "learn", "socket.command", "the command list refuses it",
                                  rights.commands.where)
        elif permitted.route.classes & AUDITED:
            self._journal.request(rights, head.method, shown(head.target), "continue", "", "the policy allows it")

    async def _refuse(self, client: Client, head: Head | None, rights: Rights | None, refused: Refused) -> None:
        text = refused.text
        if refused.code:
            method, target = (head.method, shown(head.target)) if head is not None else ("", "")
            text += f" [{self._journal.request(rights, method, target, 'deny', refused.code, refused.text, refused.where)}]"
        await client.refuse(Refused(refused.status, refused.code, text))
