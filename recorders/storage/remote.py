"""One recording's place in an object store: a folder, S3, GCS or Azure, by URL. Nothing counts as stored before it was
verified."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
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

# Larger objects are sent in pieces of this size, of which S3's ETag is made.
_PIECE = 8 * 2**20
_CLIENT: Any = {"timeout": "30s", "connect_timeout": "5s", "allow_http": True}
_RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_FACT = 160


@dataclass(frozen=True, slots=True)
class Stored:
    """What an object is: size, SHA-256 in hex."""

    bytes: int
    sha256: str


class Remote:
    """The objects below `path` of the store at `url` (`file:///`, `s3://`, `gs://`, `az://`).

    Credentials and endpoint come from the usual environment variables (AWS_..., GOOGLE_..., AZURE_...). Every method
    raises `StorageAway` with the fact when the store does not do as asked; no call lasts longer than its retries.
    """

    def __init__(self, url: str, path: str) -> None:
        self._path = path.strip("/")
        with _away("open"):
            self._store = _open(url)

    def put(self, source: Path, name: str) -> Stored:
        """Copy a file there; returns when what is there was seen to be the same, by size and checksum."""
        local, tag = _digests(source)
        with _away("take"):
            obstore.put(self._store, self._at(name), source, chunk_size=_PIECE, use_multipart=local.bytes > _PIECE)
            head = obstore.head(self._store, self._at(name))
            same = head["size"] == local.bytes and (
                (head.get("e_tag") or "").strip('"') == tag or self._digest(name) == local.sha256
            )
        if not same:
            raise StorageAway(f"The storage holds something else than was written to {name}.")
        return local

    def read(self, name: str) -> bytes | None:
        """A small object; None when there is none."""
        with _away("give"):
            try:
                return bytes(obstore.get(self._store, self._at(name)).bytes())
            except FileNotFoundError:
                return None

    def fetch(self, name: str, target: Path, sha256: str) -> None:
        """Copy an object to a local file, whole or not at all."""
        draft = files.temporary(target)
        digest = hashlib.sha256()
        try:
            with draft.open("wb") as file, _away("give"):
                for chunk in obstore.get(self._store, self._at(name)).stream():
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != sha256:
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
        """The bytes of an object from `start` to before `end`, however many, as buffers."""
        with _away("give"):
            options: Any = {"range": (start, end)}
            found = await obstore.get_async(self._store, self._at(name), options=options)
            return found.stream()

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

    def _digest(self, name: str) -> str:
        """By reading it: not every store's ETag is a checksum."""
        digest = hashlib.sha256()
        for chunk in obstore.get(self._store, self._at(name)).stream():
            digest.update(chunk)
        return digest.hexdigest()


def _open(url: str) -> Any:
    if url.startswith("file://"):
        return LocalStore(url.removeprefix("file://"), mkdir=True)
    return from_url(url, client_options=_CLIENT, retry_config=_RETRY)


def _digests(path: Path) -> tuple[Stored, str]:
    """Size and SHA-256, and the ETag that S3 gives to it: MD5, or for pieces the MD5 of their MD5s."""
    sha, pieces, size = hashlib.sha256(), [], 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            sha.update(piece)
            pieces.append(hashlib.md5(piece, usedforsecurity=False))
            size += len(piece)
    if size <= _PIECE:
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
