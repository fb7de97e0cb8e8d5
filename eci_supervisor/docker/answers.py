"""What of the engine's answers the relay writes anew: hop-by-hop headers and API versions. No I/O."""
from eci_supervisor.docker.head import Headers
from eci_supervisor.docker.route import NEWEST_MINOR, OLDEST_MINOR
from eci_supervisor.docker.strict_json import Json

RAW_TYPES = frozenset({b"application/vnd.docker.raw-stream", b"application/vnd.docker.multiplexed-stream"})
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"proxy-connection"})


def headers(came: Headers, *, stream: bool = False) -> Headers:
    """The engine's headers for the client. `stream`: those that turn the connection into a raw stream stay."""
    return tuple((name, _capped_header(name, value)) for name, value in came if stream or name not in _HOP_BY_HOP)


def is_raw(status: int, came: Headers) -> bool:
    """Whether behind this answer's head a raw stream begins, on a route where one may."""
    return status == 101 or (status == 200 and any(name == b"content-type" and value in RAW_TYPES for name, value in came))


def capped(version: Json) -> Json:
    """GET /version with API versions that the relay knows."""
    if isinstance(version, dict):
        return {key: _capped_text(value) if key == "ApiVersion" else _raised(value) if key == "MinAPIVersion" else capped(value)
                for key, value in version.items()}  # fmt: skip
    if isinstance(version, list):
        return [capped(one) for one in version]
    return version


def minor(version: Json) -> int:
    """The n of an API version 1.n, at most what the relay knows; that for anything else."""
    text = version if isinstance(version, str) else ""
    head, _, tail = text.partition(".")
    return min(int(tail), NEWEST_MINOR) if head == "1" and tail.isdecimal() else NEWEST_MINOR


def _capped_text(version: Json) -> str:
    return f"1.{minor(version)}"


def _raised(version: Json) -> str:
    return f"1.{max(minor(version), OLDEST_MINOR)}"


def _capped_header(name: bytes, value: bytes) -> bytes:
    return _capped_text(value.decode("latin-1")).encode() if name == b"api-version" else value
