"""References to images: acceptance 24, the table of the contract row by row, and what generated references may not do."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_supervisor.model.settings import CommandList, Image, ImageEntry
from eci_supervisor.settings.images import Finding, Unreachable, find, is_base, normalised
from eci_supervisor.settings.reference import MalformedReference, Reference, covers, parse_entry, parse_image

D = "sha256:" + "d" * 64
OTHER = "sha256:" + "e" * 64
IMAGE_ID = "sha256:" + "1" * 64


class Registries:
    """What registries serve, in memory."""

    def __init__(self, tags: dict[str, str] | None = None, contents: frozenset[str] = frozenset(), *, down: bool = False) -> None:
        self._tags, self._contents, self._down = tags or {}, contents, down

    def digests(self, repository: str, tag: str) -> frozenset[str]:
        if self._down:
            raise Unreachable("the registry cannot be reached")
        return frozenset(filter(None, [self._tags.get(f"{repository}:{tag}")]))

    def serves(self, repository: str, digest: str) -> bool:
        if self._down:
            raise Unreachable("the registry cannot be reached")
        return f"{repository}@{digest}" in self._contents


def entry(image: str) -> ImageEntry:
    return ImageEntry(image, str(parse_entry(image)), "x", allow_derived=True, commands=CommandList())


def allowed(written: str, run: str) -> bool:
    """With the registry serving exactly what the image carries."""
    image = parse_image(run)
    name = str(image)
    repository = image.repository
    return find([entry(written)], Image(IMAGE_ID, name, (f"{repository}@{D}",), (name,)),
                Registries({name: D}, frozenset({f"{repository}@{D}"}))).allowed


@pytest.mark.parametrize(("written", "run", "yes"), [
    ("docker:cli", "docker:cli", True), ("docker:cli", "library/docker:cli", True), ("docker:cli", "docker.io/library/docker:cli", True),
    ("docker:cli", "index.docker.io/library/docker:cli", True), ("docker:cli", "docker", False), ("docker:cli", "docker:latest", False),
    ("docker:cli", "docker:CLI", False), ("docker:cli", "mirror.local/docker:cli", False),
    ("docker", "docker", True), ("docker", "docker:latest", True), ("docker", "docker:cli", False),
    ("DOCKER.io/library/docker:cli", "docker:cli", True),
    ("testcontainers/ryuk:*", "testcontainers/ryuk:0.5.1", True), ("testcontainers/ryuk:*", "docker.io/testcontainers/ryuk", True),
    ("testcontainers/*:*", "testcontainers/sshd:1.2.0", True), ("testcontainers/*:*", "testcontainers/a/b:1", False),
    ("testcontainers/*:*", "eviltestcontainers/x:1", False), ("testcontainers/*:*", "evil.io/testcontainers/x:1", False),
    ("testcontainers/*", "testcontainers/ryuk:0.5.1", False),
    ("reg:5000/ci/*:*", "reg:5000/ci/x:9", True), ("reg:5000/ci/*:*", "reg/ci/x:9", False), ("reg:5000/ci/*:*", "reg:5001/ci/x:9", False),
    ("localhost/x:1", "docker.io/localhost/x:1", False), ("localhost/x:1", "localhost/x:1", True),
    ("*", "anything/at-all:1", True),
])  # fmt: skip
def test_the_table(written: str, run: str, yes: bool) -> None:
    assert allowed(written, run) is yes


@pytest.mark.parametrize("written", ["Docker:cli", "alpine@sha256:12ab", "*.io/x:1", "", "a b", "a\\b", "a:", "a@", "a/b//c",
                                     "x:" + "t" * 129, "id:sha256:12", "a*@sha256:" + "d" * 64,
                                     "alpine@sha256:" + "D" * 64, "-a", "a/-b:1"])  # fmt: skip
def test_an_error_at_load(written: str) -> None:
    with pytest.raises(MalformedReference):
        parse_entry(written)


def test_by_digest() -> None:
    """Of that repository, whatever the tag; the same content of another repository is not it."""
    carried = Image(IMAGE_ID, "docker.io/library/alpine:edge", (f"docker.io/library/alpine@{D}",))
    stranger = Image(IMAGE_ID, "docker.io/other/repo:1", (f"docker.io/other/repo@{D}",))
    nothing = Registries(down=True)
    for written in (f"alpine@{D}", f"alpine:3@{D}"):
        assert find([entry(written)], carried, nothing).allowed
        assert not find([entry(written)], stranger, nothing).allowed
    assert find([entry(f"id:{IMAGE_ID}")], stranger, nothing).allowed


def test_by_id_an_image_needs_an_allowed_digest() -> None:
    """Run by id, short or long, the engine tells no name: what the image carries decides."""
    image = Image(IMAGE_ID, "", (f"docker.io/library/docker@{D}",), ("docker.io/library/docker:cli",))
    assert find([entry("docker:cli")], image, Registries({"docker.io/library/docker:cli": D})).allowed
    assert not find([entry("docker:cli")], image, Registries({"docker.io/library/docker:cli": OTHER})).allowed
    assert not find([entry("docker:cli")], Image(IMAGE_ID, ""), Registries({"docker.io/library/docker:cli": D})).allowed


def test_a_retagged_image_is_refused_with_both_digests() -> None:
    served = Registries({"docker.io/library/docker:cli": D})
    tagged = Image(IMAGE_ID, "docker.io/library/docker:cli", (f"docker.io/evil/x@{OTHER}",), ("docker.io/library/docker:cli",))
    assert find([entry("docker:cli")], tagged, served).detail == (
        f'; local digest none, allowed {D}: "docker image rm docker:cli", then "docker pull docker:cli"')
    old = Image(IMAGE_ID, "docker.io/library/docker:cli", (f"docker.io/library/docker@{OTHER}",))
    assert f"local digest {OTHER}, allowed {D}" in find([entry("docker:cli")], old, served).detail


def test_the_most_specific_entry_decides_and_a_registry_that_is_down_is_said() -> None:
    image = Image(IMAGE_ID, "docker.io/library/docker:cli", (f"docker.io/library/docker@{D}",))
    both = [entry("docker:cli"), entry("docker:*")]
    assert find(both, image, Registries({"docker.io/library/docker:cli": OTHER}, frozenset({f"docker.io/library/docker@{D}"}))) == Finding(
        both[0], allowed=False, local=(D,), expected=(OTHER,),
        detail=f'; local digest {D}, allowed {OTHER}: "docker image rm docker:cli", then "docker pull docker:cli"')
    assert find(both, image, Registries(down=True)).detail == "; the registry cannot be reached"


def test_layers_of_a_base() -> None:
    empty = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    base = Image("b", "", layers=(empty, "one"))
    assert is_base(base, Image("x", "", layers=(empty, "one", "two")))
    assert is_base(base, Image("x", "", layers=(empty, "one")))
    assert not is_base(base, Image("x", "", layers=("one", "two")))
    assert not is_base(base, base)
    assert not is_base(Image("b", "", layers=(empty,)), Image("x", "", layers=(empty, "two")))


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_malformed(text: str) -> None:
    """And a reference means the same once it is written in full."""
    try:
        entry_, again = parse_entry(text), parse_entry(str(parse_entry(text)))
    except MalformedReference:
        return
    assert again == entry_


NAMES = st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=3), st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,8}", fullmatch=True))
def test_an_image_is_covered_by_itself_and_by_its_globs(parts: list[str], tag: str) -> None:
    image = parse_image(f"reg.example:5000/{'/'.join(parts)}:{tag}")
    assert covers(parse_entry(str(image)), image)
    assert covers(parse_entry(f"reg.example:5000/{'/'.join('*' for _ in parts)}:*"), image)
    assert not covers(parse_entry(f"reg.example:5000/{'/'.join(parts)}/*:*"), image)
    assert not covers(parse_entry(f"{'/'.join(parts)}:*"), image)
    assert normalised(str(image)) == str(image)


def test_any_is_any() -> None:
    assert parse_entry("*") == Reference(any=True)
    assert normalised("<none>:<none>") == ""
    assert normalised("sha256:" + "a" * 64) == ""
