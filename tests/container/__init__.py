"""A whole life of a container, under runc and under crun."""
