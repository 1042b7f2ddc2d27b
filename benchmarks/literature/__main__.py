"""Checks of what the literature says about grokking, on runs of our own.

    python benchmarks/literature

trains the runs that are missing in data/literature, prints every number of
benchmarks/literature.md and draws benchmarks/figures.
"""

from laws import fractions, powers
from maps import maps
from norms import norms
from runs import make_all
from signature import signatures

if __name__ == "__main__":
    make_all()
    powers()
    fractions()
    maps()
    signatures()
    norms()
