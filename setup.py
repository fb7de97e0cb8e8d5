"""Builds what native/ holds together with the package: see native/build.py."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "native"))

from setuptools import Distribution, setup

from build import NativeBuild, data_files


class BinaryDistribution(Distribution):
    """A distribution that is bound to a platform although setuptools sees no extension of its own."""

    def has_ext_modules(self) -> bool:
        return True


setup(distclass=BinaryDistribution, cmdclass={"build_py": NativeBuild}, data_files=data_files(),
      options={"bdist_wheel": {"py_limited_api": "cp311"}})
