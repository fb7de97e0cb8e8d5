"""Enhanced Container Isolation for any Linux host. The tree of packages is described in docs/architecture.md."""

VERSION = "0.1.0"
