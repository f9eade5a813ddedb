"""Prefix grouping: requests partitioned into batches over a prefix trie under a KV cap (after BatchLLM)."""
