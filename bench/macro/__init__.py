"""Rows about many containers at once. A round takes seconds."""
