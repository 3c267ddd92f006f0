"""gather: when members run, when the results arrive, with return_exceptions, and cancelled."""

import asyncio


async def main(log):
    async def counts(name, ticks):
        for n in range(ticks):
            log(f"{name} {n}")
            await asyncio.sleep(0)

    async def member(name, ticks, fails=False):
        log(f"{name} begins")
        for _ in range(ticks):
            await asyncio.sleep(0)
        log(f"{name} ends")
        if fails:
            raise ValueError(name)
        return name

    counter = asyncio.create_task(counts("tick", 8))
    log(f"{await asyncio.gather(member('a', 4), member('b', 0), member('c', 2))}")
    log("main has all")
    await counter

    counter = asyncio.create_task(counts("tick", 8))
    results = await asyncio.gather(member("d", 1, True), member("e", 3), return_exceptions=True)
    log(f"{type(results[0]).__name__}, {results[1]}")
    await counter

    counter = asyncio.create_task(counts("tick", 8))
    try:
        await asyncio.gather(member("f", 3), member("g", 1, True))
    except ValueError as error:
        log(f"error: {error}")
    await counter

    async def parked(name):
        try:
            await asyncio.sleep(3600)
        finally:
            log(f"{name} unwinds")

    async def gathers():
        try:
            await asyncio.gather(parked("x"), parked("y"), return_exceptions=True)
        finally:
            log("the gathering task unwinds")

    # Without return_exceptions asyncio's gather is over when its first member is.
    task = asyncio.create_task(gathers())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    counter = asyncio.create_task(counts("tick", 6))
    task.cancel()
    await counter
    log(f"cancelled: {task.cancelled()}")
