"""as_completed: in the order of completion, a tick after the callback."""

import asyncio

UNIT = 0.02  # seconds


async def main(log):
    async def work(name, ticks):
        for _ in range(ticks):
            await asyncio.sleep(0)
        log(f"{name} ends")
        return name

    async def counts(ticks):
        for n in range(ticks):
            log(f"tick {n}")
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(name, ticks)) for name, ticks in [("a", 5), ("b", 2), ("c", 2), ("d", 8)]]
    counter = asyncio.create_task(counts(12))
    for next_one in asyncio.as_completed(tasks):
        log(f"got {await next_one}")
    await counter

    async def later(name, delay):
        await asyncio.sleep(delay * UNIT)
        return name

    async def awaits(number, next_one):
        try:
            log(f"number {number} got {await next_one}")
        except TimeoutError:
            log(f"number {number} timed out")

    tasks = [asyncio.create_task(later(name, delay)) for name, delay in [("slow", 9), ("quick", 1), ("middling", 2)]]
    nexts = list(asyncio.as_completed(tasks, timeout=4 * UNIT))
    await asyncio.gather(*(awaits(number, next_one) for number, next_one in enumerate(nexts)))
    log(f"slow cancelled: {tasks[0].cancelled()}, done: {tasks[0].done()}")
    await tasks[0]
