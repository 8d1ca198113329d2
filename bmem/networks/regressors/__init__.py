"""Architectures of regressors: ``kind = "name"`` is ``NameSettings`` in the module ``name`` of this folder."""
