"""What registries serve: asked through the engine, remembered on disk, waited for under no lock."""
import base64
import fcntl
import json
import os
import time
from collections.abc import Callable
from typing import Final

from eci_supervisor.docker.engine import Engine, EngineError
from eci_supervisor.linux.fds import OwnedFd
from eci_supervisor.linux.paths import StateDir
from eci_supervisor.model.settings import Digests
from eci_supervisor.settings.digests import Memory, Seen, fresh, from_bytes, good, learnt, to_bytes, usable
from eci_supervisor.settings.images import Unreachable, familiar

DOCKERS_KEY: Final = "https://index.docker.io/v1/"  # docker.io's, in docker's config.json
NO_RIGHT: Final = (401, 403)
CREDENTIALS: Final = "its credentials are those of eci.dockerSocket.digests.authFile"
HOUR_S: Final = 3600


class Closed(Unreachable):
    """The registry's own no: what it said before does not stand in for it."""


class Registry:
    """settings.images.Served. `clock`: seconds since 1970."""

    def __init__(self, engine: Engine, rules: Digests, state_dir: StateDir, clock: Callable[[], float] = time.time) -> None:
        self._engine, self._rules, self._state_dir, self._clock = engine, rules, state_dir, clock

    def digests(self, repository: str, tag: str) -> frozenset[str]:
        """Those that are good for a tag now; empty where the registry knows no such tag. Raises Unreachable."""
        key, now = f"{repository}:{tag}", self._clock()
        seen = self._memory().get(key, ())
        if fresh(seen, self._rules, now):
            return good(seen, self._rules, now)
        try:
            digest = self._ask(key)
        except Closed:
            raise
        except Unreachable as error:
            if not usable(seen, self._rules, now):
                raise Unreachable(f"{error}, {_age(seen, now)}") from error
            return good(seen, self._rules, now)
        return good(self._learn(key, digest, now), self._rules, now) if digest else frozenset()

    def serves(self, repository: str, digest: str) -> bool:
        """Whether a repository has this content. Raises Unreachable."""
        key, now = f"{repository}@{digest}", self._clock()
        seen = self._memory().get(key, ())
        if fresh(seen, self._rules, now):
            return True
        try:
            found = self._ask(key)
        except Closed:
            raise
        except Unreachable as error:
            if not usable(seen, self._rules, now):
                raise Unreachable(f"{error}, {_age(seen, now)}") from error
            return True
        if found == digest:
            self._learn(key, digest, now)
        return found == digest

    def _ask(self, reference: str) -> str:
        """The digest that is served, "" for none. Raises Unreachable."""
        registry = reference.partition("/")[0]
        try:
            answer = self._engine.distribution(familiar(reference), credentials(self._rules.auth_file, registry))
        except EngineError as error:
            raise Unreachable(str(error)) from error
        if answer.status == 404:
            return ""
        if answer.status in NO_RIGHT:
            raise Closed(f"the registry {registry} does not say ({answer.message or answer.status}); {CREDENTIALS}")
        descriptor = answer.body.get("Descriptor") if isinstance(answer.body, dict) else None
        if answer.status != 200 or not isinstance(descriptor, dict):
            asks = f"; {CREDENTIALS}" if "auth" in answer.message else ""  # 500, and the client library's own words
            raise Unreachable(f"the registry {registry} cannot be reached ({answer.message or answer.status}){asks}")
        return str(descriptor.get("digest", ""))

    def _memory(self) -> Memory:
        try:
            with open(self._state_dir.digests, "rb") as file:
                return from_bytes(file.read())
        except FileNotFoundError:
            return {}

    def _learn(self, key: str, digest: str, now: float) -> tuple[Seen, ...]:
        """Notes an answer; under a lock, since other creates note theirs."""
        os.makedirs(self._state_dir.lasting, 0o700, exist_ok=True)
        with OwnedFd(os.open(f"{self._state_dir.digests}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            memory = self._memory()
            memory[key] = learnt(memory.get(key, ()), digest, now)
            new = f"{self._state_dir.digests}.new"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(to_bytes(memory))
            os.rename(new, self._state_dir.digests)
        return memory[key]


def _age(seen: tuple[Seen, ...], now: float) -> str:
    return f"its last answer is {int((now - seen[-1].last) / HOUR_S)} h old" if seen else "and it was never asked before"


def credentials(auth_file: str, registry: str) -> str:
    """The engine's X-Registry-Auth for a registry, from a config.json of docker's; "" for none. Source: the Engine API's Authentication."""
    if not auth_file:
        return ""
    try:
        with open(auth_file, "rb") as file:
            known = json.load(file)["auths"]
        entry = known[DOCKERS_KEY if registry == "docker.io" else registry]
        user, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    told = {"username": user, "password": password, "serveraddress": registry}
    if token := entry.get("identitytoken"):
        told = {"identitytoken": token, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
