"""The attention sum: one signature, several implementations.

dispatch.py    chooses one, once
reference.py   plain PyTorch, on which the others are measured
cpu.py         fused, for CPUs; its loops (loops.py, packed.py) compute on vectors of heads
               (vectors.py, vector_math.py) and run in the threads of team.py
gpu.py         fused, for GPUs; its loops (gpu_loops.py) are compiled by Triton
"""
