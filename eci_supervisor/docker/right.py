"""Whether a container may have a Docker socket, and which: its image is asked of the engine, and judged by the image lists."""
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eci_supervisor.docker.decision import lines
from eci_supervisor.docker.engine import Engine, EngineError
from eci_supervisor.docker.registry import Registry
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.settings import Image, ImageEntry, Policy, Rights
from eci_supervisor.oci.refusal import PolicyRefused
from eci_supervisor.settings.images import Finding, Served, Unreachable, could_be_base, familiar, find, image_of, is_base, normalised

CODE = "socket.image"
ID = re.compile(r"(sha256:)?[0-9a-f]{1,64}")
Note = Callable[[PolicyRefused, str], None]  # with the verdict: "learn" for what would have been refused, or "info"


@dataclass(frozen=True, slots=True)
class Judgement:
    """An image, as its engine knows it, and what the lists say of it."""

    image: Image
    finding: Finding


def right_of(container: str, policy: Policy, state_dir: StateDir, note: Note, elsewhere: str = "") -> Rights:
    """The rights of a container that the engine is starting. Raises PolicyRefused; what passes and is worth a record is noted.

    elsewhere: the socket of the engine that is starting it, where that is another than the settings name: then there are none.
    """
    engine = Engine(elsewhere or policy.socket.engine)
    try:
        image = image_of_container(engine, container)
    except EngineError as error:
        raise denied("unknown", policy, f"; {error}") from error
    if image is None:
        raise denied("unknown", policy, "; the engine does not know this container", engine=True)
    if elsewhere:
        raise denied(shown(image), policy, f"; its engine listens on {elsewhere}: name that in eci.dockerSocket.engine", engine=True)
    judged = judge(engine, image, policy, state_dir)
    if not judged.finding.allowed:
        refusal = refused(judged, policy)
        if not policy.learn:
            raise refusal
        note(refusal, "learn")
    elif judged.finding.base and judged.finding.entry is not None:
        note(PolicyRefused(f"{shown(image)} may have a docker socket, since it is built on {judged.finding.base}", CODE,
                           judged.finding.entry.where), "info")
    return rights(container, policy, judged)


def refused_at_create(reference: str, policy: Policy, state_dir: StateDir) -> PolicyRefused | None:
    """Why a container of an image may not be made with the engine's socket; None if it may, or if the engine knows no such image."""
    if not (normalised(reference) or ID.fullmatch(reference)):  # nor any: it becomes part of a path
        return None
    if not policy.exceptions:
        return PolicyRefused(f"enhanced container isolation: {policy.problem}", "settings.invalid", "")
    engine = Engine(policy.socket.engine)
    try:
        image = known(engine, reference, reference)
    except EngineError as error:
        return denied(reference, policy, f"; {error}")
    if image is None or policy.learn:
        return None
    judged = judge(engine, image, policy, state_dir)
    return None if judged.finding.allowed else refused(judged, policy)


def image_of_container(engine: Engine, container: str) -> Image | None:
    """By the list, which takes no lock of the engine's. Raises EngineError."""
    line = engine.container(container)
    if line is None or not (identifier := str(line.get("ImageID", ""))):
        return None
    return known(engine, identifier, str(line.get("Image", "")))


def known(engine: Engine, identifier: str, reference: str) -> Image | None:
    """An image by id; `reference`: as somebody typed it. Raises EngineError."""
    found = engine.image(identifier)
    return None if found is None else _image(found, reference)


def judge(engine: Engine, image: Image, policy: Policy, state_dir: StateDir) -> Judgement:
    """By itself, else as derived from an image that is allowed by itself."""
    served = Registry(engine, policy.socket.digests, state_dir)
    finding = find(policy.socket.entries, image, served)
    if not finding.allowed:
        try:
            finding = derived(engine, image, policy.socket.entries, served, finding)
        except (EngineError, Unreachable) as error:
            finding = replace(finding, detail=finding.detail or f"; {error}")
    return Judgement(image, finding)


def derived(engine: Engine, image: Image, entries: tuple[ImageEntry, ...], served: Served, without: Finding) -> Finding:
    """`without`, or a finding about a listed image that this one is built on. Raises EngineError, Unreachable."""
    hint = ""
    for base in _bases(engine, image, entries):
        found = find(entries, base, served)
        if not found.allowed or found.entry is None:
            continue
        if not found.entry.allow_derived:
            hint = f"; its parent {familiar(shown(base))} is listed: set allowDerivedImages to true"
        elif any(served.serves(*one.split("@", 1)) for one in image.repo_digests):
            hint = "; it comes from a registry, and only a local image is derived"
        else:
            return replace(found, base=shown(base))
    return replace(without, detail=hint or without.detail)


def _bases(engine: Engine, image: Image, entries: tuple[ImageEntry, ...]) -> list[Image]:
    """Local images that the lists mean and whose layers this one begins with."""
    found = []
    for line in engine.images():
        listed = _image(line, "")
        if could_be_base(entries, listed) and (base := known(engine, listed.id, "")) is not None and is_base(base, image):
            found.append(base)
    return found


def _image(raw: dict[str, Any], reference: str) -> Image:
    """From /images/ID/json, or from a line of the list, which tells no layers."""
    layers = (raw.get("RootFS") or {}).get("Layers") or ()
    return image_of(str(raw.get("Id", "")), reference, raw.get("RepoTags") or (), raw.get("RepoDigests") or (), layers)


def shown(image: Image) -> str:
    return image.reference or next(iter((*image.tags, *image.repo_digests)), image.id)


def _nameable(image: Image) -> str:
    """How a list can name an image: one that no registry serves by its id alone."""
    return shown(image) if image.reference and image.repo_digests else f"id:{image.id}"


def refused(judged: Judgement, policy: Policy) -> PolicyRefused:
    image, finding = judged.image, judged.finding
    return denied(shown(image), policy, finding.detail, entry=finding.entry, subject=_nameable(image))


def denied(image: str, policy: Policy, detail: str, *, entry: ImageEntry | None = None, engine: bool = False,
           subject: str = "") -> PolicyRefused:
    """Docker's sentence. engine: it is not the lists that are in the way, so that learn mode changes nothing."""
    sentence = (f'enhanced container isolation: docker socket mount denied for container with image "{image}"; image is not in the allowed '
                f"list; if you wish to allow it, configure the docker socket image list in {policy.file}{detail}")
    return PolicyRefused(sentence, CODE, entry.where if entry is not None else "", list_alone=not engine, subject=subject)


def rights(container: str, policy: Policy, judged: Judgement) -> Rights:
    socket, entry = policy.socket, judged.finding.entry
    allowed = entry is not None and judged.finding.allowed
    return Rights(
        container=container, engine=socket.engine, runtime=socket.runtime, image=judged.image, entry=entry.key if entry and allowed else "",
        commands=entry.commands if entry and allowed else socket.commands, own_scope=bool(entry and allowed and entry.own_scope),
        gid=entry.gid if entry and allowed else 0, builds=socket.builds, engine_admin=socket.engine_admin,
        max_body_bytes=socket.max_body_bytes, learn=policy.learn, file=policy.file, lines=lines(policy))
