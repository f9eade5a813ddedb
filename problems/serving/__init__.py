"""LLM serving: policies for an engine with continuous batching, scored in the simulator against a no-queue bound."""
