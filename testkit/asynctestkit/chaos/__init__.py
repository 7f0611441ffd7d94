"""An installation and its faults: what `./dev chaos` breaks, under which load, and what must hold.

`tests/chaos/main.py` runs it. Here, and not below tests/, because a module there has no name that
another package could not take.
"""
