"""The parts of the OCI runtime spec that we read, as values. Source: opencontainers/runtime-spec, config.md and config-linux.md."""
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mount:
    """One entry of `mounts`; type and source are "" where the spec leaves them out."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()

    @property
    def is_bind(self) -> bool:
        """runc and crun alike take a mount for a bind by its options, or by the type `bind`."""
        return self.type == "bind" or "bind" in self.options or "rbind" in self.options
