# Everything is declared in pyproject.toml. This file is here for tools that still look for
# a setup.py; a plain `setup()` reads pyproject.toml.
from setuptools import setup

setup()
