"""Callbacks, steps of tasks, and timers that are due already: a timer comes after what was ready before the tick."""

import asyncio


async def main(log):
    loop = asyncio.get_running_loop()

    async def steps(name, count):
        for n in range(count):
            log(f"{name} step {n}")
            await asyncio.sleep(0)
        log(f"{name} ends")

    async def sleeper(name, delay):
        log(f"{name} sleeps")
        await asyncio.sleep(delay)
        log(f"{name} awake")

    async def waiter(future):
        log(f"waiter got {await future}")

    loop.call_later(0, log, "later 0")
    loop.call_soon(log, "soon 1")
    a = asyncio.create_task(steps("a", 3))
    loop.call_soon(log, "soon 2")
    b = asyncio.create_task(sleeper("b", -1))
    loop.call_at(loop.time() - 1, log, "at a time gone by")
    loop.call_soon(loop.call_later, 0, log, "later 0, from a callback")
    loop.call_soon(loop.call_soon, log, "soon, from a callback")
    log("main waits")
    await a
    await b
    log("main has a and b")

    # A timer is taken back by a callback of its own tick, and by another timer of its tick.
    in_tick = loop.call_later(0, log, "never")
    loop.call_soon(in_tick.cancel)
    by_timer = loop.call_later(2, log, "never")
    loop.call_later(1, by_timer.cancel)
    loop.call_later(3, log, "timer at 3")
    loop.advance(3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    log("the timers are over")

    # What a timer does comes in its order; a task that it wakes goes on a tick later.
    future = loop.create_future()
    task = asyncio.create_task(waiter(future))

    def timer():
        log("timer begins")
        loop.call_soon(log, "soon, before the result")
        future.set_result("a value")
        loop.call_soon(log, "soon, after the result")
        loop.call_later(0, log, "later 0, from a timer")
        log("timer ends")

    loop.call_later(1, timer)
    await task
    log("main has the waiter")

    # The time that a sleeper waits counts from where it began.
    sleepers = [asyncio.create_task(sleeper(name, delay)) for name, delay in (("x", 3), ("y", 1), ("z", 2))]
    loop.call_later(1.5, log, "timer at 1.5")
    for task in sleepers:
        await task
    loop.call_soon(log, "after the end")
    log("main ends")
