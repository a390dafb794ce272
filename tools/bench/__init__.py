"""The benchmark: every cell as rnnc compiles it, timed turn by turn with what else can run its equations.

    python -m tools.bench --quick          ten cells, in minutes
    python -m tools.bench                  every cell, in hours; go on where it stopped by running it again
    python -m tools.bench --report         table, plot and losses of what has been measured so far
    python -m tools.bench --report --page tools/bench/RESULTS.md   the same as the page that is committed

What is measured is an entry (:mod:`~tools.bench.matrix`): a cell at one size, as a whole sequence or one step
at a time. A worker, pinned to its processors before it imports anything (:mod:`~tools.bench.worker`), makes
the cell ready with rnnc and with each peer (:mod:`~tools.bench.peers`), compares what each gives with the
reference machine (:mod:`~tools.bench.measure`), and times those that are right in turns
(:mod:`~tools.bench.timing`). Each result is a line of a file (:mod:`~tools.bench.results`), from which the
tables and the plot are made.
"""
