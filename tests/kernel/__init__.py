"""What needs root and a real kernel, but no container."""
