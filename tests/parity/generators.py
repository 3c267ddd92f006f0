"""Async generators: their body runs when asked, and closing unwinds it from where it waits."""

import asyncio
import contextlib


async def main(log):
    async def numbers(name, cleanup=1):
        log(f"{name} begins")
        try:
            for n in range(3):
                log(f"{name} gives {n}")
                yield n
                await asyncio.sleep(0)
            log(f"{name} is through")
        finally:
            log(f"{name} cleans up")
            for _ in range(cleanup):
                await asyncio.sleep(0)
            log(f"{name} is clean")

    async def ticker():
        for n in range(4):
            log(f"tick {n}")
            await asyncio.sleep(0)

    generator = numbers("whole")
    log("nothing has begun")
    async for n in generator:
        log(f"main got {n}")

    # Left half-way, and closed by hand.
    generator = numbers("half", 3)
    ticks = asyncio.create_task(ticker())
    log(f"main got {await anext(generator)}")
    await generator.aclose()
    log("main has closed it")
    log(f"then: {await anext(generator, None)}")
    await generator.aclose()
    await ticks

    # Never begun: there is nothing to clean up.
    generator = numbers("unborn")
    await generator.aclose()
    log("main has closed it")

    # One inside another: the outer one's cleanup closes the inner one.
    async def doubled():
        async with contextlib.aclosing(numbers("inner")) as inner:
            try:
                async for n in inner:
                    yield 2 * n
            finally:
                log("doubled unwinds")

    generator = doubled()
    for _ in range(2):
        log(f"main got {await anext(generator)}")
    await generator.aclose()
    log("main has closed both")

    # Who iterates is cancelled where the generator waits: the request goes through its body.
    async def slow():
        log("slow begins")
        try:
            yield 1
            await asyncio.sleep(3600)
            yield 2
        finally:
            log("slow cleans up")
            await asyncio.sleep(1)
            log("slow is clean")

    async def iterates():
        try:
            async for n in slow():
                log(f"iterates got {n}")
            log("not reached")
        finally:
            log("iterates unwinds")

    task = asyncio.create_task(iterates())
    await asyncio.sleep(1)
    log(f"cancel: {task.cancel()}")
    await asyncio.wait([task])
    log(f"cancelled: {task.cancelled()}")
