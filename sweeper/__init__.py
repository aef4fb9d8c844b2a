"""The service: declares, runs, stores and shows sweeps. Knows nothing about embeddings."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("embedding-sweeper")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
