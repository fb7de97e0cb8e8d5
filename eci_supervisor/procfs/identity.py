"""What a container is called where a machine has a name of its own. Pure."""
import uuid
from dataclasses import dataclass

NOBODY = b"00000000-0000-0000-0000-000000000000"
CONTAINERS = uuid.UUID("5b1c6f0e-4f0b-4c0e-9f5c-2f6d1a7d3e90")  # the name space of product_uuid: drawn once


@dataclass(frozen=True, slots=True)
class Identity:
    """boot_id: new at each start of the container; product_uuid: that of its id, for ever."""

    boot_id: bytes = NOBODY
    product_uuid: bytes = NOBODY


def identity(container: str, token: str) -> Identity:
    """`token` is secret and drawn at each start; a supervisor that follows another finds the same."""
    drawn = uuid.uuid5(CONTAINERS, f"boot_id\0{token}").bytes
    return Identity(str(uuid.UUID(bytes=drawn, version=4)).encode(), str(uuid.uuid5(CONTAINERS, container)).encode())
