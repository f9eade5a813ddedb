"""The embedded engine: Llama- and Qwen-type models with paged KV on torch, on the CPU or one CUDA GPU.

    runner = open_runner("tiny", device="cpu", blocks=600)          # opening.py
    batch = make_batch(token_ids=…, counts=…, computed=…, block_tables=…, block_size=16)
    runner.step(batch)                                              # sampled tokens, shape (S,)

Nothing outside this package imports torch; whoever wants the engine imports from here where it is used.
"""
