"""A child fails: body and siblings are cancelled and clean up, and the group has every error as they came."""

import asyncio

UNIT = 0.02  # seconds; long enough for a busy machine


async def main(log):
    async def child(name, delay, cleanup, fails):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
            log(f"{name} ends")
        finally:
            # In which order siblings are cancelled is open: asyncio keeps them in a set.
            await asyncio.sleep(cleanup)
            log(f"{name} is clean")
            if fails:
                raise ValueError(name)

    async def bad(name):
        raise ValueError(name)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child("quick", 1 * UNIT, 0, False))
            group.create_task(child("first to fail", 2 * UNIT, 0, True))
            group.create_task(child("slow cleanup", 3600, 3 * UNIT, True))
            group.create_task(child("fast cleanup", 3600, 1 * UNIT, True))
            group.create_task(child("innocent", 3600, 2 * UNIT, False))
            log("body waits")
            try:
                await asyncio.sleep(3600)
            finally:
                log("body cleans up")
                await asyncio.sleep(4 * UNIT)
                log("body is clean")
    except* ValueError as errors:
        for error in errors.exceptions:
            log(f"error: {error}")
    log(f"cancelling: {asyncio.current_task().cancelling()}")
    await asyncio.sleep(0)

    # The body itself fails.
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child("left", 3600, 2 * UNIT, True))
            group.create_task(child("right", 3600, UNIT, True))
            await asyncio.sleep(1 * UNIT)
            raise ValueError("body")
    except* ValueError as errors:
        for error in errors.exceptions:
            log(f"error: {error}")

    # Failing in one tick, children whose siblings have not begun.
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad("one"))
            group.create_task(bad("two"))
            group.create_task(child("begun in that tick", 3600, 0, False))
    except* ValueError as errors:
        for error in errors.exceptions:
            log(f"error: {error}")

    # Cancelled from outside: the body unwinds before the children are cancelled.
    async def holder():
        async with asyncio.TaskGroup() as group:
            group.create_task(child("held", 3600, 1 * UNIT, False))
            group.create_task(child("finishes meanwhile", 2 * UNIT, 0, False))
            try:
                await asyncio.sleep(3600)
            finally:
                log("holder cleans up")
                await asyncio.sleep(4 * UNIT)
                log("holder is clean")

    task = asyncio.create_task(holder())
    await asyncio.sleep(1 * UNIT)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        log("holder cancelled")
