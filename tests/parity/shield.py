"""A shield keeps a request from the task inside, which goes on and can be awaited again."""

import asyncio

UNIT = 0.02  # seconds; long enough for a busy machine


async def main(log):
    async def work(name, delay):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            log(f"{name} cancelled")
            raise
        log(f"{name} ends")
        return name

    async def shielding(task):
        log("shielding waits")
        try:
            log(f"shielding got {await asyncio.shield(task)}")
        finally:
            log("shielding unwinds")

    inner = asyncio.create_task(work("inner", 3 * UNIT))
    outer = asyncio.create_task(shielding(inner))
    await asyncio.sleep(1 * UNIT)
    outer.cancel()
    await asyncio.wait([outer])
    log(f"outer cancelled: {outer.cancelled()}, inner done: {inner.done()}")
    log(f"inner gives {await inner}")

    inner = asyncio.create_task(work("timed", 3 * UNIT))
    try:
        async with asyncio.timeout(1 * UNIT):
            await asyncio.shield(inner)
    except TimeoutError:
        log("timed out")
    log(f"timed gives {await inner}")

    # Cancelling the task inside reaches who shields it.
    inner = asyncio.create_task(work("target", 3600))
    outer = asyncio.create_task(shielding(inner))
    await asyncio.sleep(1 * UNIT)
    inner.cancel()
    await asyncio.wait([outer])
    log(f"inner cancelled: {inner.cancelled()}, outer cancelled: {outer.cancelled()}")

    inner = asyncio.create_task(work("ready", 0))
    await asyncio.wait([inner])
    log(f"shield of a done task gives {await asyncio.shield(inner)}")
