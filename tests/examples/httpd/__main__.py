"""tests/examples/httpd/__main__.py: what clients that are not part of the project see of scope-httpd.

Usage: python3 tests/examples/httpd PROGRAM   Prints TAP.
"""
import importlib
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent))
for module in ("files", "connections", "bad", "whole"):
    importlib.import_module(module)

importlib.import_module("clients").run()
