"""tests/examples/httpd/__main__.py: what clients that are not part of the project see of scope-httpd.

Usage: python3 tests/examples/httpd PROGRAM   Prints TAP.
"""
import importlib
import sys

import kit

for module in ("files", "connections", "bad", "whole"):
    importlib.import_module(module)
tests = kit.tests

print(f"1..{len(tests)}")
failed = 0
for number, function in enumerate(tests, 1):
    try:
        skipped = function()
        print(f"ok {number} - {function.__name__}" + (f" # SKIP {skipped}" if skipped else ""),
              flush=True)
    except Exception as error:  # what it was is told
        failed = 1
        print(f"not ok {number} - {function.__name__}")
        print("# " + repr(error).replace("\n", "\n# "), flush=True)
sys.exit(failed)
