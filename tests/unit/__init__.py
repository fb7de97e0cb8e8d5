"""Every decision, parser and protocol. No root, seconds in all."""
