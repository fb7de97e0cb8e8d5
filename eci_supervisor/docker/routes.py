"""Every route of the Engine API 1.24 to 1.56, by path: the one place that says what a request is. What fits no row is refused.

Source: the engine's API reference, and its routers for what that leaves out.

Adding an endpoint is a row here; what its letters mean is Class, what its body may say is docker.bodies.
"""
from eci_supervisor.docker.route import Body, Route

ROUTES: tuple[Route, ...] = (
    Route("GET", "/_ping", "B", ""),
    Route("HEAD", "/_ping", "B", "", since=40),
    Route("POST", "/auth", "W", "login", body=Body.JSON),
    Route("POST", "/build", "XH", "image build", needed_by="compose", body=Body.TAR),
    Route("POST", "/build/cancel", "W", "image build", needed_by="compose", since=39),
    Route("POST", "/build/prune", "W", "builder prune, system prune", since=31),
    Route("POST", "/commit", "W", "container commit", body=Body.JSON),
    Route("GET", "/configs", "R", "config ls", needed_by="service create, service update, stack deploy, stack rm", since=30),
    Route("POST", "/configs/create", "A", "config create", needed_by="stack deploy", since=30, body=Body.JSON),
    Route("DELETE", "/configs/{id}", "A", "config rm", needed_by="stack rm", since=30),
    Route("GET", "/configs/{id}", "RL", "config inspect, inspect", needed_by="stack deploy", since=30),
    Route("POST", "/configs/{id}/update", "A", "config update", needed_by="stack deploy", since=30, body=Body.JSON),
    Route("POST", "/containers/create", "X", "container create, container run", needed_by="compose", body=Body.JSON),
    Route("GET", "/containers/json", "R", "container ls", needed_by="compose, container stats"),
    Route("POST", "/containers/prune", "W", "container prune, system prune", since=25),
    Route("DELETE", "/containers/{id}", "W", "container rm", needed_by="compose, container run"),
    Route("GET", "/containers/{id}/archive", "RL", "container cp", needed_by="compose"),
    Route("HEAD", "/containers/{id}/archive", "R", "container cp", needed_by="compose"),
    Route("PUT", "/containers/{id}/archive", "W", "container cp", needed_by="compose, container create, container run", body=Body.TAR),
    Route("POST", "/containers/{id}/attach", "WS", "container attach",
          needed_by="compose, container run, container start", hijack=True, body=Body.STREAM),
    Route("GET", "/containers/{id}/attach/ws", "WS", "container attach", hijack=True, body=Body.STREAM),
    Route("GET", "/containers/{id}/changes", "R", "container diff"),
    Route("GET", "/containers/{id}/checkpoints", "R", "checkpoint ls", since=25),
    Route("POST", "/containers/{id}/checkpoints", "W", "checkpoint create", since=25, body=Body.JSON),
    Route("DELETE", "/containers/{id}/checkpoints/{checkpoint}", "W", "checkpoint rm", since=25),
    Route("POST", "/containers/{id}/exec", "X", "container exec", needed_by="compose", body=Body.JSON),
    Route("GET", "/containers/{id}/export", "L", "container export"),
    Route("GET", "/containers/{id}/json", "RL", "container inspect, container port, inspect",
          needed_by="compose, container attach, container cp, container exec, container logs, container run, container start"),
    Route("POST", "/containers/{id}/kill", "W", "container kill", needed_by="compose, container attach, container run, container start"),
    Route("GET", "/containers/{id}/logs", "RLS", "container logs", needed_by="compose"),
    Route("POST", "/containers/{id}/pause", "W", "container pause", needed_by="compose"),
    Route("POST", "/containers/{id}/rename", "W", "container rename", needed_by="compose"),
    Route("POST", "/containers/{id}/resize", "W", "container attach", needed_by="compose, container run, container start"),
    Route("POST", "/containers/{id}/restart", "X", "container restart", needed_by="compose"),
    Route("POST", "/containers/{id}/start", "X", "container start", needed_by="compose, container run"),
    Route("GET", "/containers/{id}/stats", "RS", "container stats", needed_by="compose"),
    Route("POST", "/containers/{id}/stop", "W", "container stop", needed_by="compose"),
    Route("GET", "/containers/{id}/top", "R", "container top", needed_by="compose"),
    Route("POST", "/containers/{id}/unpause", "W", "container unpause", needed_by="compose"),
    Route("POST", "/containers/{id}/update", "W", "container update", body=Body.JSON),
    Route("POST", "/containers/{id}/wait", "RS", "container wait", needed_by="compose, container attach, container run, container start"),
    Route("GET", "/debug/pprof/{any*}", "N", ""),
    Route("GET", "/debug/vars", "N", ""),
    Route("GET", "/distribution/{name*}/json", "R", "", needed_by="service create, service update, stack deploy", since=30),
    Route("GET", "/events", "RS", "system events", needed_by="compose, container stats"),
    Route("GET", "/exec/{id}/json", "R", "container exec", needed_by="compose"),
    Route("POST", "/exec/{id}/resize", "W", "container exec", needed_by="compose"),
    Route("POST", "/exec/{id}/start", "XS", "container exec", needed_by="compose", hijack=True, body=Body.JSON),
    Route("POST", "/grpc", "XHS", "image build", needed_by="builder prune, buildx du, compose", since=39, hijack=True, body=Body.STREAM),
    Route("POST", "/images/create", "W", "image pull", needed_by="compose, container create, container run", query="fromImage"),
    Route("POST", "/images/create", "W", "image import", query="fromSrc", body=Body.STREAM),
    Route("GET", "/images/get", "L", "image save"),
    Route("GET", "/images/json", "R", "image ls", needed_by="compose"),
    Route("POST", "/images/load", "W", "image load", body=Body.TAR),
    Route("POST", "/images/prune", "W", "image prune, system prune", since=25),
    Route("GET", "/images/search", "R", "search"),
    Route("DELETE", "/images/{name*}", "W", "image rm", needed_by="compose"),
    Route("GET", "/images/{name*}/attestations", "R", "image inspect", since=55),
    Route("GET", "/images/{name*}/get", "L", "image save"),
    Route("GET", "/images/{name*}/history", "R", "image history"),
    Route("GET", "/images/{name*}/json", "R", "image inspect, inspect", needed_by="compose, container create, container run"),
    Route("POST", "/images/{name*}/push", "W", "image push", needed_by="compose"),
    Route("POST", "/images/{name*}/tag", "W", "image tag"),
    Route("GET", "/info", "RL", "system info",
          needed_by="compose, container create, container run, image build, image pull, image push, inspect, login, node ls, "
                    "node ps, search, stack deploy, swarm join, swarm join-token, swarm unlock"),
    Route("GET", "/networks", "R", "network ls", needed_by="compose, stack deploy, stack rm"),
    Route("POST", "/networks/create", "W", "network create", needed_by="compose, stack deploy", body=Body.JSON),
    Route("POST", "/networks/prune", "W", "network prune, system prune", since=25),
    Route("DELETE", "/networks/{id}", "W", "network rm", needed_by="compose, stack rm"),
    Route("GET", "/networks/{id}", "R", "inspect, network inspect",
          needed_by="compose, network rm, service create, service inspect, service update, stack deploy"),
    Route("POST", "/networks/{id}/connect", "W", "network connect", needed_by="compose", body=Body.JSON),
    Route("POST", "/networks/{id}/disconnect", "W", "network disconnect", needed_by="compose", body=Body.JSON),
    Route("GET", "/nodes", "R", "node ls"),
    Route("DELETE", "/nodes/{id}", "A", "node rm"),
    Route("GET", "/nodes/{id}", "R", "inspect, node inspect",
          needed_by="node demote, node promote, node ps, node update, service ps, stack ps, swarm join-token"),
    Route("POST", "/nodes/{id}/update", "A", "node demote, node promote, node update", body=Body.JSON),
    Route("GET", "/plugins", "R", "plugin ls", since=25),
    Route("POST", "/plugins/create", "XH", "plugin create", since=25, body=Body.TAR),
    Route("GET", "/plugins/privileges", "R", "plugin install", needed_by="plugin upgrade", since=25),
    Route("POST", "/plugins/pull", "XH", "plugin install", since=25, body=Body.JSON),
    Route("DELETE", "/plugins/{name*}", "A", "plugin rm", since=25),
    Route("POST", "/plugins/{name*}/disable", "A", "plugin disable", since=25),
    Route("POST", "/plugins/{name*}/enable", "XH", "plugin enable", needed_by="plugin install", since=25),
    Route("GET", "/plugins/{name*}/json", "R", "inspect, plugin inspect", needed_by="plugin upgrade", since=25),
    Route("POST", "/plugins/{name*}/push", "A", "plugin push", since=25),
    Route("POST", "/plugins/{name*}/set", "XH", "plugin set", since=25, body=Body.JSON),
    Route("POST", "/plugins/{name*}/upgrade", "XH", "plugin upgrade", since=26, body=Body.JSON),
    Route("GET", "/secrets", "R", "secret ls", needed_by="service create, service update, stack deploy, stack rm", since=25),
    Route("POST", "/secrets/create", "A", "secret create", needed_by="stack deploy", since=25, body=Body.JSON),
    Route("DELETE", "/secrets/{id}", "A", "secret rm", needed_by="stack rm", since=25),
    Route("GET", "/secrets/{id}", "R", "inspect, secret inspect", needed_by="stack deploy", since=25),
    Route("POST", "/secrets/{id}/update", "A", "secret update", needed_by="stack deploy", since=26, body=Body.JSON),
    Route("GET", "/services", "R", "service ls", needed_by="service ps, stack deploy, stack ls, stack rm, stack services"),
    Route("POST", "/services/create", "XH", "service create", needed_by="stack deploy", body=Body.JSON),
    Route("DELETE", "/services/{id}", "A", "service rm", needed_by="stack rm"),
    Route("GET", "/services/{id}", "R", "inspect, service inspect",
          needed_by="service logs, service ps, service rollback, service scale, service update"),
    Route("GET", "/services/{id}/logs", "RLS", "service logs", since=25),
    Route("POST", "/services/{id}/update", "XH", "service rollback, service scale, service update",
          needed_by="stack deploy", body=Body.JSON),
    Route("POST", "/session", "XHS", "image build", needed_by="compose", since=31, hijack=True, body=Body.STREAM),
    Route("GET", "/swarm", "AL", "swarm ca, swarm join-token", needed_by="swarm unlock-key, swarm update"),
    Route("POST", "/swarm/init", "A", "swarm init", body=Body.JSON),
    Route("POST", "/swarm/join", "A", "swarm join", body=Body.JSON),
    Route("POST", "/swarm/leave", "A", "swarm leave"),
    Route("POST", "/swarm/unlock", "A", "swarm unlock", body=Body.JSON),
    Route("GET", "/swarm/unlockkey", "AL", "swarm unlock-key", needed_by="swarm init, swarm update"),
    Route("POST", "/swarm/update", "A", "swarm update", needed_by="swarm ca, swarm join-token, swarm unlock-key", body=Body.JSON),
    Route("GET", "/system/df", "R", "system df", since=25),
    Route("GET", "/tasks", "R", "node ps, service ps", needed_by="service create, service ls, service update, stack ps, stack rm"),
    Route("GET", "/tasks/{id}", "R", "inspect", needed_by="service logs"),
    Route("GET", "/tasks/{id}/logs", "RLS", "service logs", since=29),
    Route("GET", "/version", "B", ""),
    Route("GET", "/volumes", "R", "volume ls", needed_by="compose"),
    Route("POST", "/volumes/create", "W", "volume create", needed_by="compose", body=Body.JSON),
    Route("POST", "/volumes/prune", "W", "system prune, volume prune", since=25),
    Route("DELETE", "/volumes/{name}", "W", "volume rm", needed_by="compose"),
    Route("GET", "/volumes/{name}", "R", "inspect, volume inspect", needed_by="compose, volume update"),
    Route("PUT", "/volumes/{name}", "A", "volume update", since=42, body=Body.JSON),
    Route("OPTIONS", "/{any*}", "N", ""),
)

_LITERAL = {(route.method, route.path, route.query): route for route in ROUTES if route.literal}
_PATTERNS = tuple(route for route in ROUTES if not route.literal)


def find(method: str, path: str, minor: int, keys: frozenset[str]) -> tuple[Route, str] | None:
    """The row of a request to API 1.`minor` and what stands in its first place; None if there is none.

    `path` is whole, decoded and without the version; `keys` are those of the query, of which exactly one may select between rows.
    """
    selecting = [query for verb, literal, query in _LITERAL if (verb, literal) == (method, path) and query in keys]
    route = _LITERAL.get((method, path, selecting[0] if len(selecting) == 1 else ""))
    if route is not None:
        return (route, "") if route.since <= minor <= route.until else None
    for route in _PATTERNS:
        if route.method == method and route.since <= minor <= route.until:
            place = route.place(path)
            if place is not None:
                return route, place
    return None
