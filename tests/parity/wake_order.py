"""Events, conditions and barriers wake in the order of waiting, and who is cancelled leaves."""

import asyncio


async def main(log):
    async def ticks():
        for _ in range(8):
            await asyncio.sleep(0)

    def start(task, *names):
        return [asyncio.create_task(task(name)) for name in names]

    event = asyncio.Event()

    async def waits(name):
        log(f"{name} waits")
        try:
            await event.wait()
        except asyncio.CancelledError:
            log(f"{name} gives up")
            raise
        log(f"{name} goes on, set: {event.is_set()}")

    tasks = start(waits, "a", "b", "c")
    await ticks()
    tasks[1].cancel()
    await ticks()
    log("main sets")
    event.set()
    event.clear()
    log("main has set and cleared")
    await ticks()
    event.set()
    start(waits, "d")
    await ticks()

    # A condition: those that were notified go on one after the other, each with the lock.
    condition = asyncio.Condition()
    level = 0

    async def notified(name):
        try:
            async with condition:
                log(f"{name} waits")
                await condition.wait()
                log(f"{name} goes on")
                await asyncio.sleep(0)
                log(f"{name} lets go")
        except asyncio.CancelledError:
            log(f"{name} gives up")
            raise

    async def reaches(name):
        async with condition:
            log(f"{name} waits")
            await condition.wait_for(lambda: level >= 2)
            log(f"{name} goes on at {level}")

    tasks = start(notified, "e", "f", "g", "h", "i")
    await ticks()
    tasks[1].cancel()
    await ticks()
    async with condition:
        condition.notify(2)
        log("main has notified two")
        await asyncio.sleep(0)
        log("main lets go")
    await ticks()
    async with condition:
        condition.notify_all()
        log("main has notified all")
    await ticks()
    log(f"all done: {all(task.done() for task in tasks)}")

    start(reaches, "j", "k")
    await ticks()
    for level in (1, 2):
        async with condition:
            condition.notify_all()
            log(f"main raises to {level}")
        await ticks()

    # Barriers: rounds of three; who is cancelled makes room for another one.
    barrier = asyncio.Barrier(3)

    async def passes(name):
        log(f"{name} arrives")
        try:
            await barrier.wait()
        except asyncio.CancelledError:
            log(f"{name} gives up")
            raise
        except asyncio.BrokenBarrierError:
            log(f"{name} finds it broken")
            return
        log(f"{name} passes")

    tasks = start(passes, "l", "m")
    await ticks()
    tasks[0].cancel()
    await ticks()
    log(f"waiting: {barrier.n_waiting}")
    start(passes, "n", "o", "p")
    await ticks()
    log(f"waiting: {barrier.n_waiting}")
    await barrier.abort()
    log("main has broken it")
    await ticks()
    log("main ends")
