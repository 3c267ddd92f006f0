"""Records what CPython's asyncio does: runs each scenario here and writes its log beside it.

    python3 tests/parity/record.py            writes the logs
    python3 tests/parity/record.py --check    writes nothing; fails when CPython logs something else today

`cargo xtask parity --record` calls it. Each scenario is a module with `async def main(log)`. The same program in Rust is
in tests/tests/parity_order/, and its log must be the same line by line. The clock is virtual, as there: when
nothing is ready the time jumps to the next timer, so that a log does not depend on how busy the machine is. Recorded with
CPython 3.11.
"""

import asyncio
import importlib
import pathlib
import selectors
import sys


class JumpingSelector(selectors.DefaultSelector):
    """Does not wait for the next timer, but moves the clock to it."""

    loop = None

    def select(self, timeout=None):
        events = super().select(0 if timeout is not None else None)
        if not events and timeout:
            self.loop.advance(timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is that of `advance`."""

    def __init__(self):
        self.now = 0.0
        selector = JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self.now

    def advance(self, by):
        self.now += by


def run(name):
    lines = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(importlib.import_module(name).main(lines.append))
    return "\n".join(lines) + "\n"


def main():
    is_check = sys.argv[1:] == ["--check"]
    differ = []
    sys.dont_write_bytecode = True
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if path.stem == "record":
            continue
        text, log = run(path.stem), path.with_suffix(".log")
        if not is_check:
            log.write_text(text)
        elif not log.exists() or text != log.read_text():
            differ.append(log.name)
    if differ:
        sys.exit(f"CPython {sys.version.split()[0]} gives other logs: {', '.join(differ)}")


if __name__ == "__main__":
    main()
