"""How many executors: each ExecutorPool's Deployment follows the demand of its queue.

The loop reads, the decision and the removal decide, the pool writes. Tasks as objects are none of
its business.
"""
