"""Copy finished shards of the second generation to where README.md says that they belong.

    python data/place.py SWEEP_OUT

Shards that are there already are left alone. Run `python data/card.py --write` afterwards.
"""

import shutil
import sys
from pathlib import Path

from grokpredict.sweeps.kinds import REGIMES

HERE = Path(__file__).parent

#: Families held out whole, and the shards that are held out of all others.
WHOLE = ("gcd", "graphs", "xor-clusters")
HELD_OUT = (1, 4, 7)
FAMILIES = frozenset(regime.name for regime in REGIMES)


def folder(family: str, shard: int) -> str:
    """Return the folder of a shard of the second generation."""
    return "heldout-2" if family in WHOLE or shard in HELD_OUT else "sweeps"


def main() -> None:
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        family, _, shard = path.stem.rsplit("-", 2)
        if family not in FAMILIES:
            raise SystemExit(f"{path.name} is not of the second generation")
        target = HERE / folder(family, int(shard)) / path.name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(path, target)
            print(target.relative_to(HERE))


if __name__ == "__main__":
    main()
