"""Compiled (numba) kernels of the trusted side: candidates never see or run them.

`tables`, `forward` and `backward` are Lawler's decomposition of 1||ΣT_j, memoised on (job set, start time) and
evaluated set by set. `descent` improves a sequence by insertion moves.

Jobs are numbered in EDD order (ties by p). For a set S started at t, let k be its longest job (ties: the last in
EDD order), at position w among the m jobs of S, and C_r = t + p_1 + … + p_r. Some optimal sequence has, for some
r in w … m, the jobs {1 … r}∖k first, then k, then {r+1 … m} (Lawler 1977):

    f(S, t) = min_r  f(L_r, t) + (C_r − d_k)⁺ + f(R_r, C_r).

*Which positions r.* With T(r) the tardiness of the EDD order with k moved to r, r is eliminated if T(r) is not
below every earlier T, or is above T(r+1) (after Szwarc 1993). On hard instances 1.4 positions remain on average.

*Which sets.* Every set met is {j : first ≤ j ≤ last, no longer than k}: the triple (first, last, k) identifies it
exactly, so looking a set up compares three numbers and never rests on a hash.

*In which order.* Sets are taken by decreasing size (`forward`): when its turn comes, all the start times a set is
asked for are known, and its positions are eliminated for all of them at once, by loops the compiler vectorises.
`backward` takes them by increasing size and computes f; `trace` reads a sequence off the tables.

*Coarse start times.* f grows with t, so rounding every start time down to a multiple of a `grain` gives a lower
bound on f, from far fewer states; with grain 1 it is f. A finer decomposition is pruned by a coarser one and the
cost of a known sequence: a state is of interest only below its *limit*, what that cost leaves for it once the rest
of the best sequence through it is bounded from below. A value is then f if f is below the limit, and otherwise any
number from the limit to f, so that tables keep bounding f from below. The same holds for sets left without a table
when memory runs out.

*Closed forms.* f(S, t) ≥ max(0, max tardiness of EDD, total lateness of SPT), with equality if EDD has at most
one tardy job, or if t ≥ max(d_j − p_j), when every job is late wherever it stands.
"""
