"""Whether an image's containers may have a Docker socket: the image lists against what the engine knows and what registries serve. Pure.

| entry | the image | proof |
|---|---|---|
| `*` | any | none needed |
| `id:` | of that id | none needed |
| `name@digest` | carries that repository digest | none needed |
| `name:tag` | run by that name, or by id | carries the digest that the registry serves for that tag |
| `name:*`, globs | run by such a name, or by id | as above for its own tag, or the registry serves its repository by its digest |

The most specific entry that means the image decides. A tag of somebody's own, a commit, a loaded archive carry no digest that is served.
"""
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from eci_supervisor.model.settings import Image, ImageEntry
from eci_supervisor.settings.reference import MalformedReference, Reference, covers, covers_repository, parse_entry, parse_image

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # diff id of a tar without files


class Unreachable(Exception):  # what happened, in words
    """A registry has not answered, and what it said last is too old."""


class Served(Protocol):
    """What registries serve, asked or remembered."""

    def digests(self, repository: str, tag: str) -> frozenset[str]:
        """Those that are good for a tag now; empty where the registry knows no such tag. Raises Unreachable."""

    def serves(self, repository: str, digest: str) -> bool:
        """Whether a repository has this content. Raises Unreachable."""


@dataclass(frozen=True, slots=True)
class Finding:
    """entry: that decides, None where none means the image; detail: why not, to stand at the sentence's end; base: of a derived one.

    local, expected: digests that were compared.
    """

    entry: ImageEntry | None
    allowed: bool
    detail: str = ""
    base: str = ""
    local: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()


def find(entries: Iterable[ImageEntry], image: Image, served: Served) -> Finding:
    """What the lists say of an image by itself; whether it is derived is asked next."""
    for entry in entries:
        wanted = parse_entry(entry.image)
        names = tuple(meant(wanted, image))
        if names:
            return proved(entry, wanted, names, image, served)
    return Finding(None, allowed=False)


def meant(entry: Reference, image: Image) -> Iterator[Reference]:
    """The names by which an entry means an image; for one that needs no proof, the entry itself."""
    if entry.any or (entry.id and entry.id == image.id) or (entry.digest and str(entry) in image.repo_digests):
        yield entry
    elif not entry.id and not entry.digest:
        names = [image.reference] if image.reference and "@" not in image.reference else list(image.tags)
        for name in names:
            if covers(entry, reference := parse_image(name)):
                yield reference
        if "@" in image.reference or not image.reference:
            yield from (by_digest for by_digest in map(parse_image, image.repo_digests)
                        if covers_repository(entry, by_digest) and (entry.tag == "*" or not entry.is_glob))


def proved(entry: ImageEntry, wanted: Reference, names: tuple[Reference, ...], image: Image, served: Served) -> Finding:
    """Whether what the image carries is what its name stands for."""
    if wanted.any or wanted.id or wanted.digest:
        return Finding(entry, allowed=True)
    expected: list[str] = []
    local: list[str] = []
    try:
        for name in names:
            carried = [one.partition("@")[2] for one in image.repo_digests if one.startswith(f"{name.repository}@")]
            local += carried
            good = served.digests(name.repository, name.tag or wanted.tag) if name.tag or not wanted.is_glob else frozenset[str]()
            expected += sorted(good)
            if good.intersection(carried) or (wanted.is_glob and any(served.serves(name.repository, digest) for digest in carried)):
                return Finding(entry, allowed=True)
    except Unreachable as error:
        return Finding(entry, allowed=False, detail=f"; {error}")
    return Finding(entry, allowed=False, detail=_mismatch(names[0], local, expected), local=tuple(local), expected=tuple(expected))


def _mismatch(name: Reference, local: list[str], expected: list[str]) -> str:
    short = familiar(str(name))
    found = local[0] if local else "none"
    return f'; local digest {found}, allowed {expected[0] if expected else "none"}: "docker image rm {short}", then "docker pull {short}"'


def familiar(reference: str) -> str:
    """As the docker command shows it: without docker.io/library/."""
    return reference.removeprefix("docker.io/").removeprefix("library/")


def is_base(base: Image, image: Image) -> bool:
    """Whether an image is built on `base`, or differs from it in metadata alone. Layers that hold nothing prove nothing."""
    return image.layers[:len(base.layers)] == base.layers and any(layer != EMPTY_LAYER for layer in base.layers) and base.id != image.id


def could_be_base(entries: Iterable[ImageEntry], image: Image) -> bool:
    """Whether a local image is worth a look at its layers."""
    wanted = [parse_entry(entry.image) for entry in entries]
    return any(not one.any and any(True for _ in meant(one, image)) for one in wanted)


def image_of(identifier: str, reference: str, tags: Iterable[object], digests: Iterable[object], layers: Iterable[object]) -> Image:
    """An image as an engine tells of it, its names normalised; what cannot be one is left out: an id, or the beginning of it."""
    tags = tuple(map(str, tags))
    by_id = re.fullmatch(r"[0-9a-f]+", reference) and identifier.startswith(f"sha256:{reference}") and f"{reference}:latest" not in tags
    return Image(id=identifier, reference="" if by_id else normalised(reference),
                 repo_digests=tuple(filter(None, map(normalised, digests))), tags=tuple(filter(None, map(normalised, tags))),
                 layers=tuple(str(layer) for layer in layers))


def normalised(name: object) -> str:
    """A reference in full, "" for an id or what is none (`<none>:<none>`)."""
    try:
        return str(parse_image(str(name)))
    except MalformedReference:
        return ""
