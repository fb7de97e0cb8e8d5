"""Checked settings as the policy that the runtime acts by: defaults filled in, lists expanded, lines kept for whoever explains. Pure."""
from collections.abc import Iterator

from eci_supervisor.docker.lists import taken_along
from eci_supervisor.model.call_rules import CallRules, MountTypes
from eci_supervisor.model.settings import (
    BindRules,
    CommandList,
    Digests,
    ImageEntry,
    NodeRules,
    Policy,
    SocketRules,
    Stamp,
)
from eci_supervisor.settings.check import GLOBAL_COMMANDS, GLOBAL_IMAGES, OWN_IMAGES, checked
from eci_supervisor.settings.commands import canonical
from eci_supervisor.settings.document import Document
from eci_supervisor.settings.names import kind_of, sysctl_name
from eci_supervisor.settings.reference import parse_entry, rank
from eci_supervisor.settings.schema import BindMounts, Commands, Settings, SocketMount, Syscalls, VirtualNodes, seconds


def compiled(text: bytes, file: str, stamp: Stamp) -> Policy:
    """The policy of a file's text. Raises Invalid."""
    document = Document(text)
    settings = checked(document)
    eci = settings.eci
    return Policy(
        file=file, stamp=stamp, value=settings.enhanced_container_isolation.value, locked=settings.enhanced_container_isolation.locked,
        mode=eci.mode or "", socket=_socket(settings), binds=_binds(eci.bind_mounts), nodes=_nodes(eci.virtual_nodes),
        calls=_calls(eci.syscalls), learn=eci.audit.mode == "learn", audit_file=eci.audit.file or "",
        nested_user_namespaces=eci.limits.nested_user_namespaces, lines=document.lines, warnings=tuple(_warnings(settings)))


def _commands(commands: Commands, where: str = GLOBAL_COMMANDS) -> CommandList:
    allow = commands.type == "allow"
    return CommandList(allow, canonical(commands.commands, allow=allow), where)


def _socket(settings: Settings) -> SocketRules:
    own = settings.eci.docker_socket
    mount = settings.enhanced_container_isolation.docker_socket_mount
    shared = mount or SocketMount()
    digests = Digests(seconds(own.digests.refresh), seconds(own.digests.offline), seconds(own.digests.superseded),
                      own.digests.auth_file or "")
    entries = (*_global_entries(shared), *_own_entries(settings, shared))
    return SocketRules(
        entries=tuple(sorted(entries, key=lambda entry: rank(parse_entry(entry.image)))), commands=_commands(shared.command_list),
        digests=digests, runtime=own.runtime, engine=own.engine, builds=own.builds, engine_admin=own.engine_admin,
        max_body_bytes=own.max_body_bytes)


def _global_entries(shared: SocketMount) -> Iterator[ImageEntry]:
    commands = _commands(shared.command_list)
    for at, image in enumerate(shared.image_list.images):
        yield ImageEntry(image, str(parse_entry(image)), f"{GLOBAL_IMAGES}[{at}]", shared.image_list.allow_derived_images, commands)


def _own_entries(settings: Settings, shared: SocketMount) -> Iterator[ImageEntry]:
    for at, rights in enumerate(settings.eci.docker_socket.images):
        derived = shared.image_list.allow_derived_images if rights.allow_derived_images is None else rights.allow_derived_images
        own = _commands(rights.command_list, f"{OWN_IMAGES}[{at}].commandList") if rights.command_list else _commands(shared.command_list)
        yield ImageEntry(rights.image, str(parse_entry(rights.image)), f"{OWN_IMAGES}[{at}].image", derived, own,
                         rights.scope == "own", rights.gid)


def _binds(binds: BindMounts) -> BindRules:
    return BindRules(binds.allowed, binds.denied, binds.read_only, binds.idmap == "owner", frozenset(binds.identity))


def _nodes(nodes: VirtualNodes) -> NodeRules:
    return NodeRules(nodes.cpu_view, nodes.swap_view, tuple(sorted((sysctl_name(name), most) for name, most in nodes.max.items())))


def _calls(calls: Syscalls) -> CallRules:
    return CallRules(
        trap_all=calls.trap == "all", floor=calls.floor == "default", deny=calls.deny, allow=calls.allow, mknod=calls.mknod,
        mount_types=MountTypes(calls.mount_types.type == "allow", calls.mount_types.list), mount_sources=calls.mount_sources,
        mount_targets=calls.mount_targets, namespaces=tuple(map(kind_of, calls.namespaces)),
        nested_depth=calls.nested_depth)


def _warnings(settings: Settings) -> Iterator[str]:
    """What is no error, but perhaps not meant."""
    isolation, socket = settings.enhanced_container_isolation, settings.eci.docker_socket
    if not isolation.value:
        yield "enhancedContainerIsolation.value is not true: eci-runc isolates what it is given, but the gateway forces nothing"
    if isolation.locked and settings.eci.mode is None:
        yield "enhancedContainerIsolation.locked is true and eci.mode is left out: the runtime's arguments cannot ask for system mode"
    mount = isolation.docker_socket_mount
    if mount is None and socket.images:
        yield "eci.dockerSocket.images without enhancedContainerIsolation.dockerSocketMount: there is no global commandList"
    if mount is not None and mount.command_list.commands and not (mount.image_list.images or socket.images):
        yield "a commandList without an image in any list closes nothing: no container may mount the socket"
    commands = _commands((mount or SocketMount()).command_list)
    along = sorted(taken_along(commands.commands)) if not commands.allow else []
    if along:
        yield f"the commandList takes along, for they share endpoints with what it denies: {', '.join(along)}"
