"""The parquet files of a data set: of a local folder, or of the hub, file by file through its cache."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS_AT_ONCE = 10_000
_OF = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")


def texts(path: Path, field: str) -> Iterator[str]:
    """The column of texts, in order, one group of rows in memory; ValueError naming file and row that has none."""
    for number, text in enumerate(texts_or_none(path, field), start=1):
        if text is None:
            raise ValueError(f"{path}: row {number} has no '{field}'; expected a text in each")
        yield text


def texts_or_none(path: Path, field: str) -> Iterator[str | None]:
    """The column as it is, None where a row has no text.

    Raises ValueError naming the file where it has no such column, or is damaged, as far as that shows: the pages of
    some files bear a checksum.
    """
    try:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            if field not in (names := file.schema_arrow.names):
                raise ValueError(f"{path}: no column '{field}'; found {', '.join(names)}")
            if not _is_text(kind := file.schema_arrow.field(field).type):
                raise ValueError(f"{path}: the column '{field}' holds {kind}; expected text")
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[field]):
                yield from batch.column(0).to_pylist()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: '{field}' is not UTF-8 (byte 0x{error.object[error.start]:02x})") from None
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path}: not a whole parquet file ({_first_line(error)})")


def num_rows(path: Path) -> int:
    """As the file's own footer has it."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def files(repository: str, revision: str | None, split: str, key: str) -> list[Path]:
    """The parquet files of a split, in order, fetched where they are not in the cache yet.

    Each file is in the hub's cache whole or not at all, so that a run that was killed fetches only what is missing.

    Raises OSError naming the setting `key` when they cannot be had, ValueError when one is missing.
    """
    if (folder := Path(repository)).is_dir():
        found = [folder / name for name in _of_split([_relative(path, folder) for path in _all(folder)], split)]
    else:
        found = _from_hub(repository, revision, split, key)
    if not found:
        raise ValueError(f"{key}: '{repository}' has no parquet file of the split '{split}'")
    _check_complete(found)
    return found


def _from_hub(repository: str, revision: str | None, split: str, key: str) -> list[Path]:
    """Through the hub's cache; what the cache has serves where the hub is out of reach, HF_HUB_OFFLINE for one."""
    import httpx2  # here, not above: it takes time, and other sources need neither
    import huggingface_hub as hub

    try:
        info = hub.HfApi().dataset_info(repository, revision=revision)
    except (OSError, httpx2.HTTPError) as error:
        try:
            place = hub.snapshot_download(repository, repo_type="dataset", revision=revision, local_files_only=True)
        except (OSError, ValueError):
            raise _unreachable(repository, key, error) from None
        folder = Path(place)
        return [folder / name for name in _of_split([_relative(path, folder) for path in _all(folder)], split)]
    names = _of_split([file.rfilename for file in info.siblings or []], split)
    try:
        return [Path(_fetched(repository, name, info.sha)) for name in names]
    except (OSError, httpx2.HTTPError) as error:
        raise _unreachable(repository, key, error) from None


def _unreachable(repository: str, key: str, error: Exception) -> OSError:
    section = key.rpartition(".")[0]
    instead = f"{section}.archive" if section == "corpus.lm1b" else f"{section}.paths"
    return OSError(
        f"{key}: '{repository}' could not be loaded ({_first_line(error)}); files that came are kept. If the hub is "
        "out of reach, copy its cache (HF_HOME) from another machine, or put the original files into corpora/ and "
        f"name them as {instead}"
    )


def _fetched(repository: str, name: str, revision: str | None) -> str:
    import huggingface_hub as hub

    path: str = hub.hf_hub_download(repository, name, repo_type="dataset", revision=revision)
    return path


def _all(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.parquet")


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _of_split(names: Sequence[str], split: str) -> list[str]:
    """Those whose name, or whose folder's name, begins with the split's."""
    pattern = re.compile(rf"(?:^|/){split}(?:[-_.][^/]*|/.*)?\.parquet$")
    return sorted(name for name in names if pattern.search(name))


def _check_complete(paths: Sequence[Path]) -> None:
    """Where the names say how many files there are, none may be missing: a cache can be half filled."""
    matches = [match for path in paths if (match := _OF.search(path.name))]
    for match in matches:
        if int(match[2]) != len(matches):
            raise ValueError(
                f"{paths[0].parent}: {len(matches)} parquet files of a split; their names say {int(match[2])}; run "
                "again with the hub in reach"
            )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
