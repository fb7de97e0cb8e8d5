"""The engine's API: its routes, what a request asks, and the relay that stands before its socket."""
