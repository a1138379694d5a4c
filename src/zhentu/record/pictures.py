"""Screened pictures, kept only if a setting says so: heatmaps and labels need their bytes again."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import fsspec

from zhentu.errors import ConfigError, NotFound, StoreError
from zhentu.record.private import private_file, private_folder
from zhentu.types import DEFAULT_TENANT


class PictureStore:
    """A folder or bucket of pictures by sha256; `url` is what fsspec opens, e.g. "/var/lib/zhentu/pictures", "s3://b/p".

    Tenants store the same bytes separately: what one of them deletes is gone. With `url` None nothing is kept.
    Raises ConfigError if the URL cannot be opened.
    """

    def __init__(self, url: str | None) -> None:
        self._files, self._root = None, ""
        self._protocols: tuple[str, ...] = ()
        if url is None:
            return
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError("settings", [f"store.pictures: {url!r} cannot be opened: {error}"]) from error
        named = self._files.protocol
        self._protocols = (named,) if isinstance(named, str) else tuple(named)

    @property
    def kept(self) -> bool:
        """Whether pictures are kept at all."""
        return self._files is not None

    def put(self, sha256: str, payload: bytes, tenant: str) -> None:
        """Keep a picture; one that is already kept stays as it is. Raises StoreError."""
        if self._files is None:
            return
        path = self._path(sha256, tenant)
        try:
            if self._files.exists(path):
                return
            if "file" in self._protocols:
                _write_privately(Path(path), payload)
            else:
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.pipe_file(path, payload)
        except Exception as error:  # every backend of fsspec has its own errors
            raise StoreError(f"the picture store cannot be written: {type(error).__name__}") from error

    def get(self, sha256: str, tenant: str) -> bytes:
        """The bytes of a tenant's picture. Raises NotFound, StoreError."""
        if self._files is None:
            raise NotFound("pictures are not kept here; set ZHENTU_STORE_PICTURES to keep them for heatmaps")
        try:
            return bytes(self._files.cat_file(self._path(sha256, tenant)))
        except FileNotFoundError as error:
            raise NotFound(f"the picture {sha256[:16]}... is not kept") from error
        except Exception as error:
            raise StoreError(f"the picture store cannot be read: {type(error).__name__}") from error

    def remove(self, pictures: Iterable[tuple[str, str]]) -> None:
        """Delete pictures, given by tenant and sha256; those that are not kept are skipped."""
        if self._files is None:
            return
        for tenant, sha256 in pictures:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._path(sha256, tenant))

    def _path(self, sha256: str, tenant: str) -> str:
        root = self._root if tenant == DEFAULT_TENANT else f"{self._root}/tenants/{tenant}"
        return f"{root}/{sha256[:2]}/{sha256}"


def _write_privately(path: Path, payload: bytes) -> None:
    """Write with access for this user only, under a temporary name first, so that nobody reads half a picture."""
    partial = private_folder(path.parent) / f".{path.name}.{os.getpid()}.{threading.get_ident()}"
    with open(partial, "wb", opener=private_file) as file:
        file.write(payload)
    partial.replace(path)
