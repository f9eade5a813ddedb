"""What candidates can import: NumPy and the part of the standard library that computes.

It is loaded before the first fork. Later there is no file to load a module from, so that what is not named
here, or imported by what is, cannot be imported: threads, processes, sockets and the like.
"""

from __future__ import annotations

NUMPY = (
    *("numpy", "numpy.char", "numpy.ctypeslib", "numpy.dtypes", "numpy.exceptions", "numpy.fft", "numpy.linalg"),
    *("numpy.lib", "numpy.lib.array_utils", "numpy.lib.format", "numpy.lib.mixins", "numpy.lib.recfunctions"),
    *("numpy.lib.scimath", "numpy.lib.stride_tricks", "numpy.ma", "numpy.ma.mrecords", "numpy.matlib"),
    *("numpy.polynomial", "numpy.random", "numpy.rec", "numpy.strings", "numpy.typing"),
    *("numpy.version", "numpy._core._methods", "numpy._core._dtype_ctypes", "numpy._core._internal"),
)
STANDARD_LIBRARY = (
    # Numbers.
    *("array", "bisect", "cmath", "decimal", "fractions", "math", "numbers", "random", "secrets", "statistics"),
    # Data.
    *("collections", "collections.abc", "copy", "copyreg", "dataclasses", "enum", "graphlib", "heapq", "queue"),
    *("sched", "struct", "types", "weakref"),
    # Functions.
    *("contextlib", "contextvars", "functools", "inspect", "itertools", "operator"),
    # Text.
    *("ast", "base64", "binascii", "codecs", "csv", "difflib", "json", "pprint", "re", "reprlib", "string"),
    *("textwrap", "tokenize", "unicodedata", "encodings.ascii", "encodings.latin_1", "encodings.utf_16"),
    # Time and hashes.
    *("_strptime", "calendar", "datetime", "hashlib", "hmac", "time", "timeit", "uuid", "zlib"),
    # Typing and what programs like to import.
    *("__future__", "abc", "argparse", "atexit", "builtins", "errno", "gc", "io", "keyword", "linecache", "locale"),
    *("logging", "os", "os.path", "pathlib", "pickle", "signal", "sys", "tempfile", "threading", "traceback"),
    *("typing", "unittest", "warnings"),
)
MODULES = (*NUMPY, *STANDARD_LIBRARY)
