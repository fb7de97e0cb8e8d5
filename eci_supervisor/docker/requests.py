"""What each JSON body of the Engine API may say: one schema a route, as literals. What is not here is left out of the request.

Adding a field is a line; see docker.bodies for what an entry is. Sources: the engine's API reference; what the engine does with a field.
"""
from collections.abc import Mapping
from typing import Final

from eci_supervisor.docker import checks
from eci_supervisor.docker.bodies import DROP, PASS, Asked, Schema, rebuild
from eci_supervisor.docker.strict_json import Json

_RESOURCES: Final = dict.fromkeys((
    "CpuShares", "Memory", "NanoCpus", "BlkioWeight", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpusetCpus",
    "CpusetMems", "KernelMemory", "KernelMemoryTCP", "MemoryReservation", "MemorySwap", "MemorySwappiness", "OomKillDisable", "PidsLimit",
    "CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth", "Ulimits",
), PASS)  # fmt: skip

# The runtime confines these to the container's own user namespace, whatever they say.
_CONFINED: Final = dict.fromkeys((
    "Privileged", "CapAdd", "CapDrop", "Capabilities", "SecurityOpt", "Devices", "DeviceCgroupRules", "Sysctls", "MaskedPaths",
    "ReadonlyPaths", "GroupAdd", "Init",
), PASS)  # fmt: skip

_CONFIG: Final = {
    **dict.fromkeys((
        "Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Tty", "OpenStdin", "StdinOnce",
        "Env", "Cmd", "Healthcheck", "ArgsEscaped", "Image", "Volumes", "WorkingDir", "Entrypoint", "NetworkDisabled", "MacAddress",
        "OnBuild", "StopSignal", "StopTimeout", "Shell",
    ), PASS),
    "Labels": checks.labels,
}  # fmt: skip

_DRIVER: Final = {
    "Name": checks.one_of("", "local", why="only the driver local is known to mount nothing of the host"),
    "Options": checks.driver_options,
}
_MOUNT: Final = {
    **dict.fromkeys(("Type", "Source", "Target", "ReadOnly", "Consistency", "TmpfsOptions"), PASS),
    "BindOptions": dict.fromkeys(
        ("Propagation", "NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"), PASS),
    "VolumeOptions": {"NoCopy": PASS, "Labels": checks.labels, "Subpath": checks.inner_path, "DriverConfig": _DRIVER},
    "ImageOptions": {"Subpath": checks.inner_path},
}  # fmt: skip


def _mount(value: Json, where: str, asked: Asked) -> dict[str, Json]:
    return checks.mount(rebuild(_MOUNT, value, asked, where), where, asked)


_HOST_CONFIG: Final = {
    **_RESOURCES,
    **_CONFINED,
    **dict.fromkeys((
        "RestartPolicy", "PortBindings", "PublishAllPorts", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Links", "Tmpfs", "ShmSize",
        "ReadonlyRootfs", "AutoRemove", "StorageOpt",
    ), PASS),
    **dict.fromkeys(("UsernsMode", "CgroupParent", "Cgroup", "Isolation", "ContainerIDFile", "ConsoleSize"), DROP),
    **dict.fromkeys(("PidMode", "IpcMode", "UTSMode", "NetworkMode", "CgroupnsMode"), checks.namespace),
    "Runtime": checks.forced_runtime,
    "Binds": [checks.bind],
    "Mounts": [_mount],
    "VolumesFrom": [checks.volumes_from],
    "VolumeDriver": checks.one_of("", "local", why="only the driver local is known to mount nothing of the host"),
    "LogConfig": {"Type": checks.one_of(*sorted(checks.LOG_DRIVERS), why="use json-file, local, journald or none"), "Config": PASS},
    "DeviceRequests": checks.empty("the engine would run hooks on the host"),
    "OomScoreAdj": checks.at_least_zero,
    "Annotations": checks.labels,
}  # fmt: skip

_CREATE: Final = {**_CONFIG, "HostConfig": _HOST_CONFIG, "NetworkingConfig": PASS}
_EXEC: Final = dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "DetachKeys", "Tty", "Env", "Cmd", "Privileged", "User",
                              "WorkingDir", "ConsoleSize"), PASS)  # fmt: skip
_NETWORK: Final = {
    **dict.fromkeys(("Name", "CheckDuplicate", "Internal", "Attachable", "IPAM", "EnableIPv4", "EnableIPv6"), PASS),
    "Driver": checks.one_of("", "bridge", why="other drivers reach into the host's network"),
    "Options": checks.network_options,
    "Labels": checks.labels,
    **{name: checks.empty("it belongs to a swarm") for name in ("Ingress", "ConfigOnly", "ConfigFrom")},
}

SCHEMAS: Final[Mapping[tuple[str, str], Schema]] = {
    ("POST", "/auth"): dict.fromkeys(("username", "password", "email", "serveraddress", "identitytoken", "registrytoken", "auth"), PASS),
    ("POST", "/commit"): _CONFIG,
    ("POST", "/containers/create"): _CREATE,
    ("POST", "/containers/{id}/exec"): _EXEC,
    ("POST", "/containers/{id}/update"): {**_RESOURCES, "RestartPolicy": PASS},
    ("POST", "/containers/{id}/checkpoints"): {
        "CheckpointID": PASS, "Exit": PASS, "CheckpointDir": checks.empty("it is a directory of the host")},
    ("POST", "/exec/{id}/start"): {"Detach": PASS, "Tty": PASS, "ConsoleSize": PASS},
    ("POST", "/networks/create"): _NETWORK,
    ("POST", "/networks/{id}/connect"): {"Container": checks.container, "EndpointConfig": PASS},
    ("POST", "/networks/{id}/disconnect"): {"Container": checks.container, "Force": PASS},
    ("POST", "/volumes/create"): {"Name": PASS, "Driver": _DRIVER["Name"], "DriverOpts": checks.driver_options, "Labels": checks.labels},
}  # fmt: skip


def rebuilt(method: str, path: str, body: object, asked: Asked) -> dict[str, Json]:
    """The body for a route as the engine gets it. Raises MalformedRequest, BodyRefused."""
    made = rebuild(SCHEMAS[method, path], body, asked)
    if path == "/containers/create" and asked.runtime:
        made["HostConfig"] = {**made.get("HostConfig", {}), "Runtime": asked.runtime}
    if asked.parent and path in ("/containers/create", "/networks/create", "/volumes/create"):
        made["Labels"] = {**made.get("Labels", {}), checks.PARENT_LABEL: asked.parent}
    return made
