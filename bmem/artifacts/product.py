"""What a stage leaves: a list of products; and the engine that makes those that are missing, and only those."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from bmem.artifacts import files
from bmem.errors import ArtifactError

Loaded = TypeVar("Loaded")


class Record(Protocol):
    """What a product makes: it knows how to save itself as an artifact."""

    def save(self, path: Path, settings: Mapping[str, Any], parents: Mapping[str, Path]) -> object:
        """Write it with its header, atomically."""
        ...


@dataclass(frozen=True)
class Work:
    """What drives the cost of a product: so many of a ``unit``, as "integral" or "toy"."""

    unit: str
    amount: float


def work(products: Iterable[Product[Any]]) -> dict[str, float]:
    """The amounts of all units of some products, done or not."""
    total: dict[str, float] = {}
    for one in (one for product in products for one in product.cost):
        total[one.unit] = total.get(one.unit, 0.0) + one.amount
    return total


@dataclass(frozen=True)
class Product(Generic[Loaded]):
    """One artifact of a run: what decides it, how it is made and read.

    Attributes:
        name: what people call it.
        path: its file.
        kind: the kind in its header.
        settings: the part of the configuration that decides it, the seed included, JSON-able.
        parents: the artifacts that go into it, by name; those that are not there are not compared.
        make: computes it; None where there is nothing to save, which it has said.
        read: reads the file.
        cost: what drives the time that it takes.
        unfinished: folder of its ``Blocks``, which goes when it is finished.
    """

    name: str
    path: Path
    kind: str
    settings: Mapping[str, Any]
    parents: Mapping[str, Path]
    make: Callable[[], Record | None]
    read: Callable[[Path], Loaded]
    cost: tuple[Work, ...] = ()
    unfinished: Path | None = None

    def load(self) -> Loaded:
        """What is in the file.

        Raises:
            ArtifactError: it is missing, foreign, damaged or of a newer format.
        """
        return self.read(self.path)

    def if_there(self) -> Loaded | None:
        """As ``load``; None where it was not made."""
        return self.load() if files.exists(self.path) else None


@dataclass(frozen=True)
class Engine:
    """Makes products in the folder ``out``.

    One that is ``checking`` takes every product for done: it only compares what there is with the configuration, and
    computes nothing.
    """

    out: Path
    say: Callable[[str], None]
    checking: bool = False

    def made(self, product: Product[Loaded]) -> Loaded:
        """What is in a product, which is made now if it is not there yet; raises what ``ensure`` does."""
        self.ensure(product)
        return product.load()

    def ensure(self, *products: Product[Any]) -> None:
        """Make what is not there yet, in this order.

        Raises:
            ArtifactError: a product that is there is damaged or was made differently, or its parents were changed while it
                was made: it is never replaced.
        """
        for product in products:
            if self.done(product.path, product.kind, product.settings, product.parents):
                continue
            before = _checksums(product.parents)
            record = product.make()
            if record is not None:
                self._refuse_intruders(product, before)
                record.save(product.path, product.settings, product.parents)
                if product.unfinished is not None:
                    shutil.rmtree(product.unfinished, ignore_errors=True)

    def done(self, path: Path, kind: str, settings: Mapping[str, Any], parents: Mapping[str, Path] | None = None) -> bool:
        """Whether the artifact at ``path`` is there and was made with these settings from these parents.

        What its header tells beyond these settings (the architecture of a network, say) follows from them; parents that are
        no longer there are not missed.

        Raises:
            ArtifactError: it is damaged, or was made differently: it is never overwritten silently.
        """
        if not files.exists(path):
            return self.checking
        header = files.verify(path, kind)
        _refuse_other_settings(path, header, json.loads(json.dumps(dict(settings))))
        there = _checksums(parents or {})
        replaced = sorted(name for name, digest in there.items() if header.parents.get(name) != digest)
        if replaced:
            raise ArtifactError(
                f"{path}: was made from other artifacts ({', '.join(replaced)}), which have been computed anew "
                "since; delete this file and those that follow from it"
            )
        if not self.checking:
            self.say(f"  {path.relative_to(self.out)} is there")
        return True

    def _refuse_intruders(self, product: Product[Any], before: Mapping[str, str]) -> None:
        """Nobody else may have been at work in the folder while a product was made."""
        changed = [name for name, digest in _checksums(product.parents).items() if before.get(name, digest) != digest]
        if changed or files.exists(product.path):
            what = f"what it follows from was replaced ({', '.join(changed)})" if changed else "another was written"
            raise ArtifactError(
                f"{product.path}: {what} while it was computed, so it is not kept; give every configuration an --out of its "
                "own, and run the command again"
            )


def refuse_earlier(*folders: Path) -> None:
    """Make sure that nothing is there of an earlier run.

    Raises:
        ArtifactError: there is a file in one of the folders.
    """
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        raise ArtifactError(
            f"{path}: is there from an earlier run, which --no-resume forbids to use; choose another --out, or leave "
            "out --no-resume to go on from it"
        )


def _checksums(parents: Mapping[str, Path]) -> dict[str, str]:
    """Those in the headers of the parents that are there."""
    return {name: files.read_header(path).sha256 for name, path in parents.items() if files.exists(path)}


def _refuse_other_settings(path: Path, header: files.Header, wanted: Mapping[str, Any]) -> None:
    changed = sorted(line for key in wanted for line in _differences(key, header.settings.get(key), wanted[key]))
    if changed:
        raise ArtifactError(
            f"{path}: was made with other settings ({'; '.join(changed)}); choose another --out, or delete this "
            "file and those that follow from it to compute them anew"
        )


def _differences(key: str, there: Any, here: Any) -> Iterator[str]:
    """One line for each value nested in ``here``, under the dotted ``key``, that is another one ``there``.

    A key that came later than the artifact, and is not used, makes no difference.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for name, value in here.items():
            yield from _differences(f"{key}.{name}", there.get(name), value)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differences(f"{key}.{number}", one, other)
    elif there != here and (there is not None or here):
        yield f"{key}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."
