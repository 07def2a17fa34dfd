"""The attention sum: one signature, several implementations.

dispatch.py    chooses one, once
reference.py   plain PyTorch, on which the others are measured
cpu.py         fused, for CPUs; its loops (loops.py, packed.py) compute on vectors of heads
               (vectors.py, vector_math.py); tables.py hands them their arguments in the threads of team.py
cpu_angles.py  the sums over images of CrystalFramer's angular term, in the same way (angle_loops.py)
cpu_frames.py  its max frames
gpu.py         fused, for GPUs; its loops (gpu_loops.py) are compiled by Triton
"""
