"""Live exploits, and an evaluator that falls to each."""
