"""Bytes between a client and the engine once a request has become a raw stream: both ways, each end passed on by itself. trio."""
import trio

READ_BYTES = 1 << 18


async def join(client: trio.SocketStream, engine: trio.SocketStream) -> None:
    """Copies until both have ended, or one is broken. Nobody's silence ends it: a shell may be idle for days."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_copy, client, engine, nursery.cancel_scope)
        nursery.start_soon(_copy, engine, client, nursery.cancel_scope)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some(READ_BYTES):
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        both.cancel()
