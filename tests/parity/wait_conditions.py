"""wait: until one, all, or a failure; who waits goes on a tick after the callback."""

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

    def names(tasks, done):
        return [task.get_name() for task in tasks if task in done]

    tasks = [asyncio.create_task(work(name, ticks), name=name) for name, ticks in [("a", 6), ("b", 1), ("c", 1), ("d", 2)]]
    counter = asyncio.create_task(counts(10))
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    log(f"done: {names(tasks, done)}, pending: {names(tasks, pending)}")
    done, pending = await asyncio.wait(pending)
    log(f"done: {names(tasks, done)}, pending: {names(tasks, pending)}")
    await counter
    done, pending = await asyncio.wait(tasks)
    log("again, when all are done")

    async def later(name, delay):
        await asyncio.sleep(delay * UNIT)
        log(f"{name} ends")

    tasks = [asyncio.create_task(later(name, delay), name=name) for name, delay in [("slow", 5), ("quick", 1)]]
    done, pending = await asyncio.wait(tasks, timeout=3 * UNIT)
    log(f"done: {names(tasks, done)}, pending: {names(tasks, pending)}")

    async def waits():
        await asyncio.wait(tasks)

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    log(f"waiting cancelled: {waiting.cancelled()}, slow done: {tasks[0].done()}")
    await tasks[0]
