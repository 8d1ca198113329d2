"""What is on disk: files with headers, finished pieces of long work, products and their engine, the lock of a folder.

``files`` writes and checks one artifact; ``Blocks`` keeps the pieces of one that is not finished; a ``Product`` declares one
of a run, and an ``Engine`` makes those that are missing; ``locked`` keeps other commands out of the folder meanwhile.
"""

from bmem.artifacts.blocks import Blocks, Form
from bmem.artifacts.files import (
    FORMAT_VERSION,
    Header,
    atomic_path,
    checksum,
    exists,
    read_header,
    sidecar,
    software_versions,
    verify,
    write,
    write_json,
)
from bmem.artifacts.json_file import JsonFile, read_json
from bmem.artifacts.lock import Owner, locked
from bmem.artifacts.product import Engine, Product, Work, work

__all__ = [
    "FORMAT_VERSION",
    "Blocks",
    "Engine",
    "Form",
    "Header",
    "JsonFile",
    "Owner",
    "Product",
    "Work",
    "atomic_path",
    "checksum",
    "exists",
    "locked",
    "read_header",
    "read_json",
    "sidecar",
    "software_versions",
    "verify",
    "work",
    "write",
    "write_json",
]
