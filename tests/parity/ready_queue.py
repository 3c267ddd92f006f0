"""Tasks, callbacks and timers take their turns in one queue, first in, first out."""

import asyncio


async def main(log):
    loop = asyncio.get_running_loop()

    def callback(name, again):
        log(name)
        if again:
            loop.call_soon(callback, name + "'", again - 1)

    async def worker(name, rounds):
        for n in range(rounds):
            log(f"{name} {n}")
            await asyncio.sleep(0)
        log(f"{name} ends")

    async def waiter(name, task):
        log(f"{name} waits")
        await task
        log(f"{name} goes on")

    async def sleeper(name, delay):
        await asyncio.sleep(delay)
        log(f"{name} awake")

    loop.call_soon(callback, "callback 1", 2)
    a = asyncio.create_task(worker("a", 3))
    first = asyncio.create_task(waiter("first", a))
    loop.call_soon(callback, "callback 2", 0)
    b = asyncio.create_task(worker("b", 2))
    cancelled = loop.call_soon(callback, "never", 0)
    second = asyncio.create_task(waiter("second", b))
    loop.call_soon(cancelled.cancel)
    cancelled.cancel()
    log("main waits")
    await first
    log("main has first")
    await second
    log("main has second")

    # Timers that are due in one tick: by deadline, whatever the order in which they were made.
    late = asyncio.create_task(sleeper("task at 2", 0.02))
    await asyncio.sleep(0)
    loop.call_later(0.03, callback, "timer at 3", 1)
    loop.call_later(0.01, callback, "timer at 1", 1)
    never = loop.call_later(0.015, callback, "never", 0)
    never.cancel()
    loop.advance(0.05)
    loop.call_soon(callback, "callback before the timers", 0)
    log("time has passed")
    await late
    log("main ends")
