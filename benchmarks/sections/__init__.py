"""One question to the benchmark a file: its run, its results, its tables, its promises.

`registry` lists them. What all results together are shown by stands in `report`.
"""
