"""Tests in tiers, one a directory: unit (nothing), native (a compiler), project (linters), kernel (root), container (runc, crun),
docker (an engine)."""
