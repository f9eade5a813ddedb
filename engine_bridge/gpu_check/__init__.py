"""What a GPU makes of the embedded engine, in under eight minutes: kernels, speed, policies, the simulator's error.

    python -m engine_bridge.gpu_check OUT.json

It needs a checkout, torch, triton and NumPy; with numba the scheduler is compiled. Each part runs in a process of its
own, by a plan of seconds: a part that crashes, hangs or takes too long is cut off and said to be, and the others go on.
OUT.json is written anew after every result, so that what is there survives any end.
"""
