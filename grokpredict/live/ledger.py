"""What the runs of one sweep know of each other: a folder with one small file a run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from grokpredict._util.atomic import replacing
from grokpredict._util.opening import open_regular
from grokpredict.live.entry import Entry, LedgerError
from grokpredict.runs.sweep import LeftOut

#: Bytes of an entry that are read; one of a hundred looks has fewer.
_MAX_BYTES = 2**20

#: Share of the runs that are audited unless told otherwise.
AUDITED = 0.1


@dataclass(frozen=True)
class Entries:
    """What was read of a ledger.

    Attributes
    ----------
    entries : tuple of Entry
        One a run, in the order in which the runs began.
    left_out : tuple of LeftOut
        Files that are no entry, with the reason.
    """

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...] = ()


class SweepLedger:
    """A folder in which every run of a sweep keeps one file, and from which later runs learn.

    Parameters
    ----------
    folder : str or Path
        On a file system that all runs share. Made if it is not there.
    audit : float
        Share of the runs that are never stopped, whatever the verdict, in (0, 1]. Only such runs
        show how many good ones are lost.

    Raises
    ------
    ValueError
        If the share is out of its range.
    OSError
        If there is no such folder and none can be made.

    Notes
    -----
    A file has one writer, the run itself, and is replaced whole; so nothing is locked, a process
    may be killed at any moment, and no clock is compared with another. A run's file bears its
    name: whoever writes it again, a resumed run for one, takes its own place.
    """

    def __init__(self, folder: str | Path, audit: float = AUDITED) -> None:
        if not 0 < audit <= 1:
            raise ValueError(
                f"the audited share must be above 0 and at most 1, got {audit}; without an audit "
                "nothing shows how many good runs are lost"
            )
        self.folder = Path(folder)
        self.audit = float(audit)
        self.folder.mkdir(parents=True, exist_ok=True)

    def audits(self, name: str) -> bool:
        """Whether the run of this name is never stopped: the same in all processes, for ever.

        >>> import tempfile
        >>> ledger = SweepLedger(tempfile.mkdtemp())
        >>> sum(ledger.audits(f"run {i}") for i in range(1000))
        98
        """
        return fraction_of(name, "audit") < self.audit

    def path(self, name: str) -> Path:
        """Return the file of the run of this name."""
        return self.folder / _file_name(name)

    def write(self, entry: Entry) -> None:
        """Write the file of a run, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written; an older one stays as it was.
        """
        text = json.dumps(entry.to_dict(), indent=1, allow_nan=False, default=str)
        with replacing(self.path(entry.name)) as file:
            # Whoever may read the folder may read the file, whatever the umask of its writer.
            with suppress(OSError):
                Path(file.name).chmod(self.folder.stat().st_mode & 0o666)
            file.write(text.encode())

    def read(self) -> Entries:
        """Read the files of all runs, see :func:`read_entries`."""
        return read_entries(self.folder)


def read_entries(folder: str | Path) -> Entries:
    """Read the files of all runs in a ledger; one that is no entry is left out and does no harm.

    Raises
    ------
    OSError
        If there is no such folder.
    """
    entries, left_out = [], []
    for path in sorted(Path(folder).iterdir()):
        if path.suffix != ".json" or path.name.startswith("."):
            continue  # a file that is being written has another name
        try:
            entries.append(_read(path))
        except FileNotFoundError:
            continue  # taken away just now
        except (OSError, ValueError, RecursionError) as error:
            left_out.append(LeftOut(str(path), _reason(error)))
    entries.sort(key=lambda entry: (entry.number, fraction_of(entry.name, "order")))
    return Entries(tuple(entries), tuple(left_out))


def as_ledger(ledger: str | Path | SweepLedger) -> SweepLedger:
    """Return a ledger that may be given as its folder."""
    return ledger if isinstance(ledger, SweepLedger) else SweepLedger(ledger)


def fraction_of(name: str, purpose: str) -> float:
    """Return a number in [0, 1) that a name decides, another one for every purpose."""
    digest = hashlib.sha256(f"grokpredict {purpose}: {name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _file_name(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.=-]+", "-", name).strip("-.")[:60]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"


def _read(path: Path) -> Entry:
    with open_regular(path) as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise LedgerError(f"it has more than the {_MAX_BYTES} bytes of an entry")
    document = json.loads(data)
    if not isinstance(document, Mapping):
        raise LedgerError("it is no entry of a ledger")
    entry = Entry.from_dict(document)
    if _file_name(entry.name) != path.name:
        raise LedgerError(f"it is a copy of the entry of {entry.name!r}, which counts once")
    return entry


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, LedgerError) else "it is no entry of a ledger"
