"""Tasks as objects: rows are shown as AsyncTasks, and people's AsyncTasks become tasks.

The loop reads, the plan decides, the writer writes. How many executors run is none of its business.
"""
