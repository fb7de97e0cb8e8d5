"""Policies and rights as bytes: policy.bin, policy.json and rights.json of the state directory. JSON, so that a root can read them. Pure.

Read by create, which has no time for pydantic: root's own files, written by this version.
"""
import json
from dataclasses import asdict
from typing import Any

from eci_supervisor.model.call_rules import CallRules, MountTypes
from eci_supervisor.model.settings import (
    BindRules,
    CommandList,
    Digests,
    Image,
    ImageEntry,
    NodeRules,
    Policy,
    Rights,
    SocketRules,
    Stamp,
)

VERSION = 1


class WireError(ValueError):
    """Not what this version writes."""


def policy_to_bytes(policy: Policy) -> bytes:
    return json.dumps({"v": VERSION, "policy": asdict(policy)}, default=sorted).encode() + b"\n"


def policy_from_bytes(text: bytes) -> Policy:
    """Raises WireError."""
    try:
        found = json.loads(text)
        if found["v"] != VERSION:
            raise WireError(f"version {found['v']}")
        return _policy(found["policy"])
    except (ValueError, KeyError, TypeError) as error:
        raise WireError(f"a compiled policy: {error}") from error


def rights_to_bytes(rights: Rights) -> bytes:
    return json.dumps({"v": VERSION, "rights": asdict(rights)}).encode() + b"\n"


def rights_from_bytes(text: bytes) -> Rights:
    """Raises WireError."""
    try:
        found = json.loads(text)
        if found["v"] != VERSION:
            raise WireError(f"version {found['v']}")
        raw = found["rights"]
        return Rights(**{**raw, "image": image_from(raw["image"]), "commands": _commands(raw["commands"])})
    except (ValueError, KeyError, TypeError) as error:
        raise WireError(f"rights: {error}") from error


def image_from(raw: dict[str, Any]) -> Image:
    return Image(**_tuples(raw, "repo_digests", "tags", "layers"))


def _policy(raw: dict[str, Any]) -> Policy:
    return Policy(**{
        **raw, "stamp": Stamp(**raw["stamp"]), "socket": _socket(raw["socket"]), "nodes": _nodes(raw["nodes"]),
        "binds": BindRules(**{**_tuples(raw["binds"], "allowed", "denied", "read_only"), "identity": frozenset(raw["binds"]["identity"])}),
        "calls": _calls(raw["calls"]), "warnings": tuple(raw["warnings"])})


def _socket(raw: dict[str, Any]) -> SocketRules:
    entries = tuple(ImageEntry(**{**entry, "commands": _commands(entry["commands"])}) for entry in raw["entries"])
    return SocketRules(**{**raw, "entries": entries, "commands": _commands(raw["commands"]), "digests": Digests(**raw["digests"])})


def _nodes(raw: dict[str, Any]) -> NodeRules:
    return NodeRules(**{**raw, "most": tuple((name, value) for name, value in raw["most"])})


def _calls(raw: dict[str, Any]) -> CallRules:
    types = MountTypes(**_tuples(raw["mount_types"], "types"))
    lists = _tuples(raw, "deny", "allow", "mount_sources", "mount_targets", "namespaces")
    return CallRules(**{**lists, "mount_types": types})


def _commands(raw: dict[str, Any]) -> CommandList:
    return CommandList(**_tuples(raw, "commands"))


def _tuples(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**raw, **{name: tuple(raw[name]) for name in names}}
