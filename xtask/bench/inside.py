"""Python's rows inside one process: `inside.py rows`, or `inside.py RUNTIME ROW SCALE` as `bench row`.

Each does what the Rust row of its name does, by asyncio's own means, and checks that it was done.
"""

import asyncio
import queue
import sys
import threading
import time

HOUR = 3600


def since(start, operations):
    return {"operations": operations, "ns": (time.perf_counter() - start) * 1e9 / operations}


async def nothing():
    pass


async def value(n):
    return n


async def spawn_join(n):
    start = time.perf_counter()
    for _ in range(n // 1000):
        for task in [asyncio.create_task(nothing()) for _ in range(1000)]:
            await task
    return since(start, n // 1000 * 1000)


def yield_among(count):
    async def row(n):
        each = max(n // count, 1)
        done = 0

        async def body():
            nonlocal done
            for _ in range(each):
                await asyncio.sleep(0)
            done += each

        start = time.perf_counter()
        for task in [asyncio.create_task(body()) for _ in range(count)]:
            await task
        assert done == each * count
        return since(start, done)

    return row


async def cancel(n):
    async def parked():
        await asyncio.get_running_loop().create_future()

    tasks = [asyncio.create_task(parked()) for _ in range(n)]
    await asyncio.create_task(nothing())
    start = time.perf_counter()
    for task in tasks:
        task.cancel()
    cancelled = 0
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            cancelled += 1
    assert cancelled == n
    return since(start, n)


async def timer_insert_drop(n):
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for i in range(n):
        loop.call_later(HOUR + i * 0x9E3779B9 % 1_000_000_007 / 1e6, nothing).cancel()
    return since(start, n)


async def timer_fire(n):
    async def body(delay):
        await asyncio.sleep(delay)

    start = time.process_time()
    delays = [(20_000 + i * 0x9E3779B9 % 20_000) / 1e6 for i in range(n)]
    for task in [asyncio.create_task(body(delay)) for delay in delays]:
        await task
    return {"operations": n, "ns": (time.process_time() - start) * 1e9 / n}


async def lateness(n):
    late = []

    async def sleeper(number):
        for turn in range(max(n // 2000, 1)):
            delay = (50_000 + (number * 7919 + turn * 104729) * 0x9E3779B9 % 200_000) / 1e6
            start = time.perf_counter()
            await asyncio.sleep(delay)
            late.append(max(time.perf_counter() - start - delay, 0.0))

    for task in [asyncio.create_task(sleeper(number)) for number in range(2000)]:
        await task
    late.sort()
    at = lambda part: late[int((len(late) - 1) * part)] * 1e6
    return {"operations": len(late), "p50_us": at(0.5), "p99_us": at(0.99)}


async def timeout_ready(n):
    total = 0
    start = time.perf_counter()
    for i in range(n):
        async with asyncio.timeout(1):
            total += await value(i)
    assert total == n * (n - 1) // 2
    return since(start, n)


def hand_over(capacity):
    async def row(n):
        handed = asyncio.Queue(capacity)

        async def getter():
            for i in range(n):
                assert await handed.get() == i

        async def putter():
            for i in range(n):
                await handed.put(i)
                if not capacity and i % 1000 == 999:
                    await asyncio.sleep(0)

        start = time.perf_counter()
        tasks = [asyncio.create_task(getter()), asyncio.create_task(putter())]
        for task in reversed(tasks):
            await task
        return since(start, n)

    return row


async def future_ping_pong(n):
    loop = asyncio.get_running_loop()
    slots = [None, None]

    async def player(mine, theirs):
        def resolve(i):
            other, slots[theirs] = slots[theirs], None
            if other is not None:
                other.set_result(i)

        for i in range(n // 2):
            slots[mine] = future = loop.create_future()
            resolve(i)
            await future
        resolve(n)

    start = time.perf_counter()
    for task in [asyncio.create_task(player(0, 1)), asyncio.create_task(player(1, 0))]:
        await task
    return since(start, n // 2 * 2)


def free(make):
    async def row(n):
        lock = make()
        start = time.perf_counter()
        for _ in range(n):
            async with lock:
                pass
        return since(start, n)

    return row


def wanted(make):
    async def row(n):
        lock, each, done = make(), max(n // 100, 1), 0

        async def body():
            nonlocal done
            for _ in range(each):
                async with lock:
                    await asyncio.sleep(0)
                    done += 1

        start = time.perf_counter()
        for task in [asyncio.create_task(body()) for _ in range(100)]:
            await task
        assert done == each * 100
        return since(start, done)

    return row


async def thread_wake(n):
    loop = asyncio.get_running_loop()
    court = queue.SimpleQueue()

    def serve():
        while (future := court.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=serve)
    thread.start()
    start = time.perf_counter()
    for _ in range(n):
        future = loop.create_future()
        court.put(future)
        await future
    found = since(start, n)
    court.put(None)
    thread.join()
    return found


async def to_thread(n):
    await asyncio.to_thread(int)
    total = 0
    start = time.perf_counter()
    for i in range(n):
        total += await asyncio.to_thread(int, i)
    assert total == n * (n - 1) // 2
    return since(start, n)


async def gather_1000(n):
    start = time.perf_counter()
    for _ in range(n // 1000):
        assert sum(await asyncio.gather(*(value(i) for i in range(1000)))) == 499_500
    return since(start, n // 1000 * 1000)


async def group_1000(n):
    start = time.perf_counter()
    for _ in range(n // 1000):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(value(i)) for i in range(1000)]
        assert sum(task.result() for task in tasks) == 499_500
    return since(start, n // 1000 * 1000)


# Row, operations at scale 1.
ROWS = {
    "spawn_join": (spawn_join, 50_000),
    "yield_2": (yield_among(2), 50_000),
    "yield_1000": (yield_among(1000), 100_000),
    "cancel": (cancel, 25_000),
    "timer_insert_drop": (timer_insert_drop, 100_000),
    "timer_fire": (timer_fire, 15_000),
    "lateness": (lateness, 10_000),
    "timeout_ready": (timeout_ready, 50_000),
    "queue_1": (hand_over(1), 25_000),
    "queue_128": (hand_over(128), 100_000),
    "queue_unbounded": (hand_over(0), 100_000),
    "future_ping_pong": (future_ping_pong, 50_000),
    "lock_free": (free(asyncio.Lock), 250_000),
    "lock_100": (wanted(asyncio.Lock), 25_000),
    "semaphore_free": (free(asyncio.Semaphore), 250_000),
    "semaphore_100": (wanted(asyncio.Semaphore), 25_000),
    "thread_wake": (thread_wake, 5_000),
    "to_thread": (to_thread, 2_500),
    "gather_1000": (gather_1000, 25_000),
    "group_1000": (group_1000, 25_000),
}

if sys.argv[1:] == ["rows"]:
    for runtime in ["asyncio", "uvloop"]:
        for row in ROWS:
            print(runtime, row)
else:
    runtime, row, scale = sys.argv[1:]
    run = asyncio.run
    if runtime == "uvloop":
        import uvloop

        run = uvloop.run
    body, operations = ROWS[row]
    for name, found in run(body(max(int(operations * float(scale)), 1000))).items():
        print(name, found)
