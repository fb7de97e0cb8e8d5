"""The nouns every flow shares. Nothing here does I/O, and nothing here imports another package of ours."""
