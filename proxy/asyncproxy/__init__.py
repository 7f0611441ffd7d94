"""The proxy: accepts calls as tasks, waits for their replies, answers.

What callers see over HTTP belongs here, and the relay that publishes what is due. How a task is
run does not: that is the executor's.
"""
