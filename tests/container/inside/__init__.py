"""What runs inside containers: no test imports it."""
