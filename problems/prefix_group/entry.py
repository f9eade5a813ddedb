"""The entry function of prefix grouping: what a heuristic is asked, field by field."""

from __future__ import annotations

from problems.base import Argument, Entry, Record

REQUEST = Record(
    "request",
    "the waiting requests that fit into the open batch, in order of arrival",
    (
        Argument("path", "tokens of the whole prompt", sign="positive"),
        Argument("shared", "tokens of the prompt that the open batch has already loaded", sign="nonnegative"),
        Argument("new", "tokens of the prompt it would still have to load: path - shared", sign="nonnegative"),
        Argument("kv", "tokens of KV memory it needs for itself while it decodes", sign="positive"),
        Argument("arrival", "its number in the order of arrival, from 0", sign="nonnegative"),
        Argument("order", "its place when the trie is walked depth first, from 0", sign="nonnegative"),
        Argument("sharers", "waiting requests below the deepest node it shares (1: it shares none)", sign="positive"),
        Argument("depth", "prompt tokens down to that node (0: it shares none)", sign="nonnegative"),
        Argument("need", "KV tokens the open batch would need to take all those sharers", sign="positive"),
        Argument("branch_size", "waiting requests below the topmost node of its prompt not loaded", sign="positive"),
        Argument("branch_need", "KV tokens the open batch would need to take all of those", sign="positive"),
        Argument("fair", "sum over its prompt's nodes of tokens / waiting requests below the node", sign="positive"),
        Argument("fair_new", "the same over the nodes that are not loaded only", sign="nonnegative"),
        Argument("group", "number of its group in BatchLLM's one level of shared prefixes", sign="nonnegative"),
        Argument("group_size", "waiting requests of its group", sign="positive"),
        Argument("group_depth", "prompt tokens its whole group shares (0: it is alone)", sign="nonnegative"),
        Argument("group_need", "KV tokens the open batch would need to take what waits of its group", sign="positive"),
    ),
)
BATCH = Record(
    "batch",
    "the open batch",
    (
        Argument("free", "tokens of KV memory it has left", "scalar", "positive"),
        Argument("loaded", "prompt tokens it has loaded", "scalar", "nonnegative"),
        Argument("size", "requests in it; 0 if it has just been opened", "scalar", "nonnegative"),
        Argument("closed", "batches closed so far", "scalar", "nonnegative"),
        Argument("cap", "M, the KV memory of a batch in tokens", "scalar", "positive"),
        Argument("fixed", "F, the cost of a batch in tokens", "scalar", "nonnegative"),
    ),
)
TRIE = Record(
    "trie",
    "the trie of all waiting requests, also of those that do not fit now",
    (
        Argument("waiting", "how many they are", "scalar", "positive"),
        Argument("prompts", "tokens of all their prompts", "scalar", "positive"),
        Argument("tokens", "the same, but with every node counted once", "scalar", "positive"),
        Argument("kv", "KV tokens they need for themselves", "scalar", "positive"),
    ),
)
ENTRY = Entry("join_score", (REQUEST, BATCH, TRIE), "one score per request shown, lowest joins", "interactive")
