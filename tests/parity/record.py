"""Records what CPython's asyncio does: runs each scenario here and writes its log beside it.

    python3 tests/parity/record.py

Each scenario is a module with `async def main(log)`. The same program in Rust is in tests/tests/parity_order.rs, and its
log must be the same line by line. Recorded with CPython 3.11.
"""

import asyncio
import importlib
import pathlib

here = pathlib.Path(__file__).parent
for path in sorted(here.glob("*.py")):
    if path.stem == "record":
        continue
    lines = []
    asyncio.run(importlib.import_module(path.stem).main(lines.append))
    path.with_suffix(".log").write_text("\n".join(lines) + "\n")
