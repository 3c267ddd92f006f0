"""shield, counted in ticks: a result passes through it, a request does not."""

import asyncio


async def main(log):
    async def counts(ticks):
        for n in range(ticks):
            log(f"tick {n}")
            await asyncio.sleep(0)

    async def work(name, ticks):
        for _ in range(ticks):
            await asyncio.sleep(0)
        log(f"{name} ends")
        return name

    async def shields(task):
        try:
            log(f"got {await asyncio.shield(task)}")
        finally:
            log("the shielding task ends")

    inner = asyncio.create_task(work("inner", 2))
    counter = asyncio.create_task(counts(6))
    outer = asyncio.create_task(shields(inner))
    await outer
    log("main goes on")
    await counter

    inner = asyncio.create_task(work("left alone", 4))
    outer = asyncio.create_task(shields(inner))
    await asyncio.sleep(0)
    counter = asyncio.create_task(counts(6))
    await asyncio.sleep(0)
    outer.cancel()
    log("cancelled")
    await asyncio.wait([outer])
    log(f"outer cancelled: {outer.cancelled()}, inner done: {inner.done()}")
    await counter
    log(f"inner gives {await inner}")
