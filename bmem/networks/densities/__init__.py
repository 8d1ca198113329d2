"""Architectures of conditional densities: ``kind = "name"`` is ``NameSettings`` in the module ``name`` of this folder."""
