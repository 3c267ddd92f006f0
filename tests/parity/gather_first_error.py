"""The first error comes out of gather at once; the others go on. A cancelled gather cancels its members."""

import asyncio

UNIT = 0.02  # seconds; long enough for a busy machine


async def main(log):
    async def member(name, delay, fails):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            log(f"{name} cancelled")
            raise
        log(f"{name} ends")
        if fails:
            raise ValueError(name)
        return name

    log(f"all well: {await asyncio.gather(member('a', 2 * UNIT, False), member('b', 1 * UNIT, False))}")
    log(f"none: {await asyncio.gather()}")

    try:
        await asyncio.gather(
            member("late", 3 * UNIT, False), member("fails", 1 * UNIT, True), member("fails later", 2 * UNIT, True)
        )
    except ValueError as error:
        log(f"error: {error}")
    await asyncio.sleep(5 * UNIT)
    log("the others have ended")

    async def stubborn(name):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log(f"{name} refuses")
        return name

    async def gathering(*members):
        try:
            log(f"gathered {await asyncio.gather(*members)}")
        except ValueError as error:
            log(f"gathering got {error}")
        finally:
            log("gathering unwinds")

    async def fails_when_cancelled():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ValueError("in cleanup") from None

    for members in (
        [member("x", 3600, False), member("y", 3600, False)],
        [stubborn("s"), stubborn("t")],
        [member("done", 0, False), stubborn("u")],
        [fails_when_cancelled(), stubborn("v")],
    ):
        task = asyncio.create_task(gathering(*members))
        await asyncio.sleep(1 * UNIT)
        task.cancel()
        await asyncio.wait([task])
        log(f"task cancelled: {task.cancelled()}")
