"""The operator: shows tasks as AsyncTask objects, and scales executors on the depth of their queue.

How a task is shown, asked for and cancelled by `kubectl` belongs here, and how many executors there
are. How a task runs does not: the operator only reads and marks rows, and submits like a caller.
"""
