"""Batch ordering: in which order the requests of a batch enter chunked prefill with stall-free decodes."""
