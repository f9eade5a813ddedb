"""Compiled (numba) kernels of the trusted side: candidates never see or run them."""
