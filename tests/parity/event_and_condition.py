"""An event wakes all who wait, a condition as many as it is told, each in order."""

import asyncio


async def main(log):
    async def counts(ticks):
        for n in range(ticks):
            log(f"tick {n}")
            await asyncio.sleep(0)

    event = asyncio.Event()

    async def waits(name):
        await event.wait()
        log(f"{name} goes on, set: {event.is_set()}")

    waiters = [asyncio.create_task(waits(name)) for name in ["a", "b", "c"]]
    await asyncio.sleep(0)
    counter = asyncio.create_task(counts(4))
    waiters[1].cancel()
    await asyncio.sleep(0)
    event.set()
    event.clear()
    log("set and cleared")
    await asyncio.wait(waiters)
    log(f"b cancelled: {waiters[1].cancelled()}")
    await counter

    condition = asyncio.Condition()

    async def waits_for_news(name):
        async with condition:
            await condition.wait()
            log(f"{name} is notified")
            await asyncio.sleep(0)
            log(f"{name} leaves")

    waiters = [asyncio.create_task(waits_for_news(name)) for name in ["d", "e", "f", "g"]]
    await asyncio.sleep(0)
    counter = asyncio.create_task(counts(10))
    async with condition:
        condition.notify(2)
        log("notified two")
    for _ in range(5):
        await asyncio.sleep(0)
    async with condition:
        condition.notify_all()
        log("notified all")
    await asyncio.wait(waiters)
    await counter
