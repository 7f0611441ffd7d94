"""The executor: takes tasks from one queue, runs each attempt, records how it ended.

How a task is run belongs here: claim, upstream call or handler, retry, lease, drain. How callers
reach it does not: that is the proxy's.
"""
