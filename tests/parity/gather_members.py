"""Gathering: a member that is cancelled alone, errors as results, and requests to the one who gathers."""

import asyncio


async def main(log):
    async def member(name, delay, cleanup=0, fails=False):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            log(f"{name} cleans up")
            await asyncio.sleep(cleanup)
            log(f"{name} is clean")
            raise
        log(f"{name} ends")
        if fails:
            raise ValueError(name)
        return name

    def show(result):
        return "cancelled" if isinstance(result, asyncio.CancelledError) else str(result)

    # Errors as results: it waits for all, and the order is that of the arguments.
    cut = asyncio.create_task(member("cut", 5, 2))
    asyncio.get_running_loop().call_later(1, cut.cancel)
    results = await asyncio.gather(
        member("slow", 4), cut, member("fails", 2, fails=True), member("quick", 1.5), return_exceptions=True
    )
    log(f"results: {', '.join(map(show, results))}")

    # One that is cancelled alone is what the others' gathering gives; they go on.
    cut = asyncio.create_task(member("alone", 5))
    other = asyncio.create_task(member("other", 3))
    asyncio.get_running_loop().call_later(1, cut.cancel)
    try:
        await asyncio.gather(cut, other)
    except asyncio.CancelledError:
        log(f"cancelled: {cut.cancelled()}, cancelling: {asyncio.current_task().cancelling()}")
    await asyncio.sleep(3)

    # Who gathers is cancelled, and goes on when all have cleaned up.
    async def gathering(return_exceptions):
        try:
            results = await asyncio.gather(
                member("a", 5, 1), member("b", 5, 3), member("c", 0.5), return_exceptions=return_exceptions
            )
            log(f"not reached: {results}")
        finally:
            log("gathering unwinds")

    task = asyncio.create_task(gathering(True))
    await asyncio.sleep(1)
    log(f"cancel: {task.cancel()}")
    await asyncio.wait([task])
    log(f"cancelled: {task.cancelled()}")

    # Nested: the request goes down through both at once.
    async def nested():
        try:
            await asyncio.gather(member("x", 5, 2), asyncio.create_task(inner()), return_exceptions=True)
        finally:
            log("outer unwinds")

    async def inner():
        try:
            await asyncio.gather(member("y", 5), member("z", 5, 1), return_exceptions=True)
        finally:
            log("inner unwinds")

    task = asyncio.create_task(nested())
    await asyncio.sleep(1)
    log(f"cancel: {task.cancel()}")
    await asyncio.wait([task])
    log(f"cancelled: {task.cancelled()}")

    # Two fail in one tick: the first one's error is given.
    try:
        await asyncio.gather(member("one", 0, fails=True), member("two", 0, fails=True), member("three", 1))
    except ValueError as error:
        log(f"error: {error}")
    await asyncio.sleep(2)
    log("main ends")
