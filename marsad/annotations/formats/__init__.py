"""Readers and writers for annotation tools, one module a format.

Each module has ``read(path, encoding)``, which yields what the file holds as it stands there (``RawReport``, or
``LeftOut`` with the reason), and ``write(documents, path)``. What is read becomes documents in one place, ``checking``.
"""
