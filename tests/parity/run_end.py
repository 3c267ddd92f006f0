"""How a run ends: the tasks that are left are cancelled at once and clean up together, then generators are closed.

In which order the requests are made is open, so each cleanup is given a time of its own.
"""

import asyncio

kept = []


async def main(log):
    async def left(name, cleanup):
        log(f"{name} begins")
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(cleanup)
            log(f"{name} is clean")

    async def refuses():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
        await asyncio.sleep(2)
        log("one has refused, and ends")

    async def nests():
        try:
            await asyncio.create_task(left("nested", 4))
        finally:
            log("the one above unwinds")

    async def generator():
        try:
            yield 1
            log("not reached")
        finally:
            log("generator cleans up")
            await asyncio.sleep(1)
            log("generator is clean")

    async def starts_another():
        try:
            await asyncio.sleep(3600)
        finally:
            log("another one starts")
            await asyncio.create_task(another())

    async def another():
        log("another one runs")
        await asyncio.sleep(1)
        log("another one ends")

    kept.append(asyncio.create_task(left("slow", 3)))
    await asyncio.sleep(0)
    kept.append(asyncio.create_task(refuses()))
    await asyncio.sleep(0)
    kept.append(asyncio.create_task(nests()))
    await asyncio.sleep(1)
    kept.append(asyncio.create_task(starts_another()))
    kept.append(generator())
    log(f"main got {await anext(kept[-1])}")
    asyncio.get_running_loop().call_later(1.5, log, "a timer, while they clean up")
    asyncio.get_running_loop().call_later(100, log, "not reached")
    await asyncio.sleep(0)
    last = asyncio.create_task(left("last", 0.5))
    kept.append(last)
    log("main ends")
