"""What needs a machine of another kind: run by hand, what it found is kept in tests/data."""
