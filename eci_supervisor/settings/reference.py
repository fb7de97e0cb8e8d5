"""References to images: normalised as Docker does, with globs, and what an entry of the image list says of an image. Pure.

    entry := "*" | name [":" tag] | name "@" digest | "id:" digest

| in an entry | means |
|---|---|
| no tag | latest |
| `*` in a component or the tag | any run of characters without `/`; never in a registry |
| a digest | that content of that repository; a tag before it is only read |
"""
import re
from dataclasses import dataclass
from typing import Final

DOCKER: Final = "docker.io"
DOCKERS_OTHER_NAMES: Final = frozenset({"index.docker.io", "registry-1.docker.io"})
HEX_DIGITS: Final = {"sha256": 64, "sha512": 128}
MAX_NAME: Final = 255
COMPONENT: Final = re.compile(r"[a-z0-9*]+(?:(?:\.|_|__|-+)[a-z0-9*]+)*")
# Separators beside a `*` are the glob's business: `a-*`, `*_x`.
GLOBBED: Final = re.compile(r"[a-z0-9*._-]+")
TAG: Final = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127}")
REGISTRY: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")


class MalformedReference(ValueError):
    """What is wrong with a reference, or what would be right."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference. registry: with port, lower case; path: without it; tag: "" where a digest decides.

    digest: with its algorithm; any: the entry "*"; id: an image id, all else being empty then.
    """

    registry: str = ""
    path: str = ""
    tag: str = ""
    digest: str = ""
    id: str = ""
    any: bool = False

    @property
    def repository(self) -> str:
        return f"{self.registry}/{self.path}"

    @property
    def is_glob(self) -> bool:
        return "*" in self.path or "*" in self.tag

    def __str__(self) -> str:
        if self.any:
            return "*"
        if self.id:
            return f"id:{self.id}"
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def parse_entry(text: str) -> Reference:
    """An entry of the image list. Raises MalformedReference."""
    if text == "*":
        return Reference(any=True)
    if text.startswith("id:"):
        return Reference(id=_digest(text.removeprefix("id:")))
    return _parsed(text, globs=True)


def parse_image(text: str) -> Reference:
    """An image as somebody runs it, by name. Raises MalformedReference, for an id too."""
    if re.fullmatch(r"sha256:[0-9a-f]{64}|[0-9a-f]{64}", text):
        raise MalformedReference("it is an image id, not a name")
    return _parsed(text, globs=False)


def parse_repo_digest(text: str) -> Reference:
    """An element of an image's RepoDigests. Raises MalformedReference."""
    found = _parsed(text, globs=False)
    if not found.digest:
        raise MalformedReference("it has no digest")
    return found


def covers(entry: Reference, image: Reference) -> bool:
    """Whether an entry with a tag, or with globs, means the reference that somebody ran; of digests and ids this says nothing."""
    if entry.any:
        return True
    if entry.id or entry.digest or entry.registry != image.registry or not image.tag:
        return False
    return _matches(entry.path, image.path) and _matches(entry.tag, image.tag)


def covers_repository(entry: Reference, repository: Reference) -> bool:
    """Whether an entry's registry and path mean those of `repository`, whatever the tag."""
    return entry.registry == repository.registry and _matches(entry.path, repository.path)


def rank(entry: Reference) -> tuple[int, int, str]:
    """The most specific first: id, digest, exact tag, `:*`, glob, "*"; of two globs the one with more letters of its own."""
    if entry.id:
        order = 0
    elif entry.digest:
        order = 1
    elif entry.any:
        order = 5
    elif "*" in entry.path:
        order = 4
    else:
        order = 3 if "*" in entry.tag else 2
    return order, -len(str(entry).replace("*", "")), str(entry)


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch("[^/]*".join(re.escape(part) for part in pattern.split("*")), text) is not None


def _parsed(text: str, *, globs: bool) -> Reference:
    if not text:
        raise MalformedReference("it is empty: name an image, such as docker:cli")
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in text):
        raise MalformedReference("no white space, control character or backslash may stand in it")
    name, at, digest = text.partition("@")
    if at:
        digest = _digest(digest)
    tag = "latest"
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
        if not TAG.fullmatch(tag):
            raise MalformedReference(f'":{tag}" is no tag: letters, digits and "_.-", at most 128')
    registry, path = _split(name)
    _check_path(path, registry)
    if not globs and "*" in path + tag:
        raise MalformedReference('"*" is not a part of an image\'s name')
    if digest and "*" in path:
        raise MalformedReference("a digest belongs to one repository: no \"*\" in its name")
    return Reference(registry, path, "" if digest else tag, digest)


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first.lower() == "localhost"):
        registry, path = DOCKER, name
    else:
        registry, path = first.lower(), rest
        if "*" in registry:
            raise MalformedReference('"*" may not stand in a registry: write its name')
        if not REGISTRY.fullmatch(registry):
            raise MalformedReference(f'"{first}" is no registry: a host name, with :port if need be')
    if registry in DOCKERS_OTHER_NAMES:
        registry = DOCKER
    if registry == DOCKER and "/" not in path:
        path = f"library/{path}"
    return registry, path


def _check_path(path: str, registry: str) -> None:
    if any(character.isupper() for character in path):
        raise MalformedReference(f'a repository has no upper case letters: write "{path.lower().removeprefix("library/")}"')
    for component in path.split("/"):
        if not COMPONENT.fullmatch(component) and not ("*" in component and GLOBBED.fullmatch(component)):
            raise MalformedReference(f'"{component}" is no part of a repository: lower case letters and digits, "." "_" "-" between them')
    if len(path) + len(registry) + 1 > MAX_NAME:
        raise MalformedReference(f"it is longer than {MAX_NAME} characters")


def _digest(text: str) -> str:
    algorithm, _, digits = text.partition(":")
    if algorithm not in HEX_DIGITS:
        raise MalformedReference(f'"{text[:20]}" is no digest: sha256: or sha512: and lower case hexadecimal digits')
    if not re.fullmatch(r"[0-9a-f]+", digits) or len(digits) != HEX_DIGITS[algorithm]:
        raise MalformedReference(f"a {algorithm} digest has {HEX_DIGITS[algorithm]} lower case hexadecimal digits")
    return text
