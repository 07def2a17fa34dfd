"""The attention sum: one signature, several implementations.

dispatch.py    chooses one, once
reference.py   plain PyTorch, on which the others are measured
cpu.py         fused, for CPUs; its loops are in loops.py, on the vectors of vectors.py,
               run in the threads of team.py
"""
