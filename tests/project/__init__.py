"""The project itself: linters, shape, layers, packaging."""
