"""A request to cancel goes down to the innermost task, and each level cleans up before the next one outward."""

import asyncio

UNIT = 0.02  # seconds; long enough for a busy machine


async def main(log):
    async def level(name, depth):
        log(f"{name}{depth} begins")
        try:
            if depth == 0:
                await asyncio.sleep(3600)
            else:
                await asyncio.create_task(level(name, depth - 1))
            log(f"{name}{depth} not reached")
        finally:
            log(f"{name}{depth} cleans up")
            await asyncio.sleep(1 * UNIT)
            log(f"{name}{depth} is clean")

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log("stubborn refuses")
        await asyncio.sleep(1 * UNIT)
        log("stubborn goes on")
        return "a value"

    async def awaits(task):
        log(f"got {await task}")
        await asyncio.sleep(0)
        return "done"

    outer = asyncio.create_task(level("a", 2))
    for _ in range(4):
        await asyncio.sleep(0)
    log(f"cancel: {outer.cancel()}")
    log(f"cancelling: {outer.cancelling()}")
    try:
        await outer
    except asyncio.CancelledError:
        log(f"outer cancelled: {outer.cancelled()}, again: {outer.cancel()}")

    unborn = asyncio.create_task(level("unborn", 0))
    unborn.cancel()
    await asyncio.wait([unborn])
    log(f"unborn cancelled: {unborn.cancelled()}")

    task = asyncio.create_task(stubborn())
    outer = asyncio.create_task(awaits(task))
    await asyncio.sleep(1 * UNIT)
    outer.cancel()
    log(f"outer gives {await outer}, cancelling: {outer.cancelling()}")

    # A second request cuts the cleanup.
    twice = asyncio.create_task(level("twice", 0))
    await asyncio.sleep(0)
    twice.cancel()
    while not twice.cancelled() and twice.cancelling() < 2:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        twice.cancel()
    await asyncio.wait([twice])
    log(f"twice cancelled: {twice.cancelled()}")
