"""vLLM carries a policy out: a scheduler class that asks before each `schedule()` and never replaces it.

`scheduler` makes the class; `steering` is what it does in a step; `table` holds what policies are shown of requests.
Nothing here imports vLLM but `scheduler`, when the class is made.
"""
