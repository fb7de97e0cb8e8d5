"""Tests in tiers, one a directory: unit (nothing), native (a compiler), kernel (root), container (runc, crun), docker (an engine)."""
