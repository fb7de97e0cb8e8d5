"""`eci policy explain`: what the image lists say of an image, and what to write to allow it."""
import json

import click

from eci_supervisor.control.options import options, state_directory
from eci_supervisor.control.policy import WITH_SETTINGS, in_force
from eci_supervisor.docker.engine import Engine, EngineError
from eci_supervisor.docker.right import Judgement, judge, known
from eci_supervisor.model.settings import Policy
from eci_supervisor.settings.images import familiar
from eci_supervisor.settings.reference import MalformedReference, parse_image


@click.command()
@click.argument("image")
@WITH_SETTINGS
@options
@click.pass_context
def explain(context: click.Context, image: str, settings: str, state_dir: str | None, as_json: bool) -> None:
    """Say whether a container of IMAGE may have a Docker socket: which entry of the lists means it, or why none does.

    The image is looked up in the engine (eci.dockerSocket.engine), digests are asked of its registry or remembered, as at a start.
    """
    directory = state_directory(context, state_dir)
    policy = in_force(directory, settings)
    engine = Engine(policy.socket.engine)
    try:
        found = known(engine, image, _name(image))
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    if found is None:
        raise click.ClickException(f"the engine has no image {image}: pull it first")
    told = _told(judge(engine, found, policy, directory), policy, image)
    if as_json:
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo("\n".join(f"{name:9} {value}" for name, value in told.items() if value not in ("", [], None)))


def _name(image: str) -> str:
    """The name as typed, "" where an id was."""
    try:
        return str(parse_image(image))
    except MalformedReference:
        return ""


def _told(judged: Judgement, policy: Policy, image: str) -> dict[str, object]:
    finding, entry = judged.finding, judged.finding.entry
    advice = "" if finding.allowed or entry is not None else (
        f'add "{familiar(judged.image.reference) or "id:" + judged.image.id}" to '
        "enhancedContainerIsolation.dockerSocketMount.imageList.images")  # fmt: skip
    line = policy.lines.get(entry.where, 0) if entry is not None else 0
    return {
        "image": judged.image.reference or image, "allowed": finding.allowed, "entry": entry.image if entry else "",
        "where": f"{policy.file}:{line}: {entry.where}" if entry else "", "base": finding.base, "detail": finding.detail.removeprefix("; "),
        "local": list(finding.local), "expected": list(finding.expected), "advice": advice,
    }  # fmt: skip
