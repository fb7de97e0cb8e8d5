"""The C of native/: vectors shared with Python, sanitizers on."""
