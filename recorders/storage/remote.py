"""One recording's place in an object store: a folder, S3, GCS or Azure, by URL. Nothing counts as stored before it was
verified."""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from recorders.errors import StorageAway
from recorders.log import files

# A request's time holds for all of it, its body too, so none moves much; a whole object may take as long as it takes.
# One that ran out of its time is made once more.
_CONNECT_S = 5.0
_REQUEST_S = 30.0
_AGAIN_S = 40.0
# Larger objects are sent and read in pieces of this size, the smallest that S3 takes; S3's ETag is made of those sent.
_PIECE = 5 * 2**20
# S3 takes no more pieces than this; those of very large objects are larger.
_PIECES = 10_000
# Pieces that are sent at a time share the uplink, and each has to be there in a request's time.
_AT_ONCE = 2
_FACT = 160


@dataclass(frozen=True, slots=True)
class Stored:
    """What an object is: size, SHA-256 in hex."""

    bytes: int
    sha256: str


class Remote:
    """The objects below `path` of the store at `url` (`file:///`, `s3://`, `gs://`, `az://`).

    Credentials and endpoint come from the usual environment variables (AWS_..., GOOGLE_..., AZURE_...). Every method
    raises `StorageAway` with the fact when the store does not do as asked; no request lasts longer than its
    retries.
    """

    def __init__(self, url: str, path: str) -> None:
        self._path = path.strip("/")
        with _away("open"):
            self._store = _open(url)

    def put(self, source: Path, name: str) -> Stored:
        """Copy a file there; returns when what is there was seen to be the same, by size and checksum."""
        piece = max(_PIECE, math.ceil(source.stat().st_size / _PIECES))
        local, tag = _digests(source, piece)
        with _away("take"):
            obstore.put(
                self._store,
                self._at(name),
                source,
                chunk_size=piece,
                use_multipart=local.bytes > piece,
                max_concurrency=_AT_ONCE,
            )
            head = obstore.head(self._store, self._at(name))
            same = head["size"] == local.bytes and (
                (head.get("e_tag") or "").strip('"') == tag or self._digest(name, local.bytes) == local.sha256
            )
        if not same:
            raise StorageAway(f"The storage holds something else than was written to {name}.")
        return local

    def read(self, name: str) -> bytes | None:
        """A small object, in one request; None when there is none."""
        with _away("give"):
            try:
                return bytes(obstore.get(self._store, self._at(name)).bytes())
            except FileNotFoundError:
                return None

    def fetch(self, name: str, target: Path, expected: Stored) -> None:
        """Copy an object to a local file, whole or not at all."""
        draft = files.temporary(target)
        digest = hashlib.sha256()
        try:
            with draft.open("wb") as file, _away("give"):
                for piece in self._read(name, expected.bytes):
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != expected.sha256:
                raise StorageAway(f"The storage holds something else than was written to {name}.")
            files.publish(draft, target)
        finally:
            draft.unlink(missing_ok=True)

    async def size(self, name: str) -> int | None:
        """Bytes of an object; None when there is none."""
        with _away("give"):
            try:
                return (await obstore.head_async(self._store, self._at(name)))["size"]
            except FileNotFoundError:
                return None

    async def open(self, name: str, start: int, end: int) -> AsyncIterator[Any]:
        """The bytes of an object from `start` to before `end`, which is beyond it, however many and however slowly they
        are taken, as buffers."""
        pieces = self._pieces(name, start, end)
        first = await anext(pieces)

        async def all_of_them() -> AsyncIterator[Any]:
            yield first
            async for piece in pieces:
                yield piece

        return all_of_them()

    def names(self) -> list[str]:
        """The names of all objects."""
        with _away("list"):
            found = [meta["path"] for page in obstore.list(self._store, self._path) for meta in page]
        return sorted(path.removeprefix(f"{self._path}/") for path in found)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are passed over."""
        with _away("delete"):
            for name in names:
                try:
                    obstore.delete(self._store, self._at(name))
                except FileNotFoundError:
                    continue

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _digest(self, name: str, size: int) -> str:
        """By reading it: not every store's ETag is a checksum."""
        digest = hashlib.sha256()
        for piece in self._read(name, size):
            digest.update(piece)
        return digest.hexdigest()

    def _read(self, name: str, size: int) -> Iterator[Any]:
        """The first `size` bytes of an object, or all of it if it is shorter."""
        tag = None
        for first in range(0, size, _PIECE):
            found = obstore.get(self._store, self._at(name), options=_options(first, size, tag))
            tag = found.meta["e_tag"]
            yield found.bytes()
            if found.meta["size"] < size:
                return

    async def _pieces(self, name: str, start: int, end: int) -> AsyncGenerator[Any]:
        tag = None
        for first in range(start, end, _PIECE):
            with _away("give"):
                found = await obstore.get_async(self._store, self._at(name), options=_options(first, end, tag))
                tag = found.meta["e_tag"]
                piece = await found.bytes_async()
            yield piece


def _options(first: int, end: int, tag: str | None) -> Any:
    """For a piece, of the very object of which the pieces before it were."""
    return {"range": (first, min(first + _PIECE, end)), **({"if_match": tag} if tag else {})}


def _open(url: str) -> Any:
    if url.startswith("file://"):
        return LocalStore(url.removeprefix("file://"), mkdir=True)
    client: Any = {
        "timeout": timedelta(seconds=_REQUEST_S),
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "allow_http": True,
    }
    retry: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=_AGAIN_S)}
    return from_url(url, client_options=client, retry_config=retry)


def _digests(path: Path, piece_size: int) -> tuple[Stored, str]:
    """Size and SHA-256, and the ETag that S3 gives to it: MD5, or for pieces the MD5 of their MD5s."""
    sha, pieces, size = hashlib.sha256(), [], 0
    with path.open("rb") as file:
        while piece := file.read(piece_size):
            sha.update(piece)
            pieces.append(hashlib.md5(piece, usedforsecurity=False))
            size += len(piece)
    if size <= piece_size:
        tag = (pieces[0] if pieces else hashlib.md5(usedforsecurity=False)).hexdigest()
    else:
        tag = hashlib.md5(b"".join(each.digest() for each in pieces), usedforsecurity=False).hexdigest()
        tag += f"-{len(pieces)}"
    return Stored(size, sha.hexdigest()), tag


@contextmanager
def _away(doing: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, NotImplementedError, ValueError) as error:
        raise StorageAway(f"The storage does not {doing}: {_fact(error)}.") from None


def _fact(error: Exception) -> str:
    """What an error says, without the address it was for, which may have a signature in it."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return first.rpartition(" - ")[2].strip(" .:")[:_FACT]
