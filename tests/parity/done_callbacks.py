"""Done callbacks and awaiters of one future go on in the order in which they came, in the tick after it is done."""

import asyncio


async def main(log):
    loop = asyncio.get_running_loop()

    def says(text):
        return lambda future: log(text)

    async def waiter(name, future):
        log(f"{name} waits")
        log(f"{name} got {await future}")

    async def work(name, delay=0):
        log(f"{name} works")
        await asyncio.sleep(delay)
        log(f"{name} ends")
        return name

    future = loop.create_future()
    future.add_done_callback(lambda future: log(f"callback 1: {future.result()}"))
    first = asyncio.create_task(waiter("first", future))
    second = asyncio.create_task(waiter("second", future))
    await asyncio.sleep(0)

    def adds(future):
        log("callback 2")
        future.add_done_callback(says("added by callback 2"))
        loop.call_soon(log, "soon, by callback 2")

    never = says("never")
    future.add_done_callback(adds)
    future.add_done_callback(never)
    future.remove_done_callback(never)
    loop.call_soon(log, "soon, before the result")
    future.set_result("a value")
    loop.call_soon(log, "soon, after the result")
    future.add_done_callback(says("added when it was done"))
    third = asyncio.create_task(waiter("third", future))
    log("main waits")
    await second
    log("main has second")
    await first
    log("main has first")
    await third

    task = asyncio.create_task(work("task"))
    task.add_done_callback(lambda task: log(f"task callback 1, cancelled: {task.cancelled()}"))
    task.add_done_callback(says("task callback 2"))
    awaiter = asyncio.create_task(waiter("awaiter", task))
    await awaiter
    log("main has the awaiter")

    # In one tick two end: the callbacks of the one that ended first come first.
    for name in ("x", "y"):
        asyncio.create_task(work(name)).add_done_callback(says(f"callback of {name}"))
    await asyncio.sleep(0)
    loop.call_soon(log, "soon, before they end")
    await asyncio.sleep(0)
    loop.call_soon(log, "soon, after they end")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    task = asyncio.create_task(work("cut", 1))
    task.add_done_callback(lambda task: log(f"callback of cut, cancelled: {task.cancelled()}"))
    await asyncio.sleep(0)
    task.cancel()
    log(f"cut done: {task.done()}")
    await asyncio.sleep(0)
    log(f"cut done: {task.done()}")
    await asyncio.sleep(0)

    future = loop.create_future()
    future.add_done_callback(lambda future: log(f"future cancelled: {future.cancelled()}"))
    log(f"cancel: {future.cancel()}")
    log(f"cancel: {future.cancel()}")
    await asyncio.sleep(0)
    log("main ends")
