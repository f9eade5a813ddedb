"""Replays a workload against a server that speaks the OpenAI completions API: open loop, streaming, timed."""
