"""The main job, shown step by step: `make demo` with a bare bundle, `make demo-docker` with an engine."""
