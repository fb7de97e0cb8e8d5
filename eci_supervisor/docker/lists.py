"""What a command list means for the routes: a server sees endpoints, not commands.

A deny list closes the smallest cut without which a command cannot work (Route.commands), so that it takes others along; an allow list
opens all that an allowed command asks for (and Route.needed_by). Names are canonical, as settings/commands.py makes them.
"""
from collections.abc import Iterable

from eci_supervisor.docker.route import Class, Route
from eci_supervisor.docker.routes import ROUTES
from eci_supervisor.model.settings import CommandList


def refuses(commands: CommandList, route: Route) -> bool:
    """Whether the list refuses a route. What every client needs before anything else is always open."""
    if Class.BASE in route.classes:
        return False
    if commands.allow:
        return route.opened_by.isdisjoint(commands.commands)
    return not route.blocked_by.isdisjoint(commands.commands)


def taken_along(denied: Iterable[str]) -> frozenset[str]:
    """Other commands that no longer work when `denied` are: an endpoint that they need is closed."""
    names = frozenset(denied)
    closed = [route for route in ROUTES if not names.isdisjoint(route.blocked_by)]
    return frozenset[str]().union(*(route.opened_by for route in closed)) - names
