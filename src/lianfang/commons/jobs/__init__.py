"""Jobs owns work that outlives a request: durable jobs, schedules, retries, and the outbox of facts.

In: ``actions.enqueue`` and ``actions.publish`` inside the caller's transaction. Out: the job run at least once,
the fact handled once by each listener, whatever process dies in between.
"""
