"""Objects under an address: s3://, gs://, abfs:// or file://, read and written whole."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from forecasting.errors import ConfigError, RemoteError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_BLOCK_BYTES = 1 << 20
CONNECT_S, SILENT_S = 5.0, 10.0
"""How long a connection is waited for, and an answer of which nothing comes."""
N_ATTEMPTS = 3
_S3_WORDS = ("region", "scheme", "endpoint_override", "tls_ca_file_path")
"""What an address of S3 may say."""


class ObjectStore:
    """Objects by key below one address. An object is there whole or not at all."""

    def __init__(self, filesystem: "FileSystem", base: str) -> None:
        """Keep a file system of Arrow and a path on it."""
        self._filesystem, self._base = filesystem, base.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether it is a folder, which writes in place where a store puts objects whole."""
        return str(self._filesystem.type_name) == "local"

    def read(self, key: str) -> bytes | None:
        """Contents of an object; none where there is none.

        Raises:
            RemoteError: The store cannot be asked.
        """
        try:
            with self._filesystem.open_input_stream(self._path(key)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreachable(key, error) from error

    def download(self, key: str, target: Path) -> None:
        """Copy an object into a file, block by block.

        Raises:
            RemoteError: The store cannot be asked, or has no such object.
        """
        try:
            with self._filesystem.open_input_stream(self._path(key)) as stream, target.open("wb") as file:
                while block := stream.read(_BLOCK_BYTES):
                    file.write(block)
        except OSError as error:
            raise _unreachable(key, error) from error

    def write(self, key: str, content: bytes) -> None:
        """Put an object.

        Raises:
            RemoteError: The store cannot be asked.
        """
        self._put(key, [content])

    def upload(self, source: Path, key: str) -> None:
        """Put a file, block by block.

        Raises:
            RemoteError: The store cannot be asked.
            FileNotFoundError: There is no such file.
        """
        with source.open("rb") as file:
            self._put(key, iter(lambda: file.read(_BLOCK_BYTES), b""))

    def names(self, key: str) -> list[str]:
        """Names directly below a key.

        Raises:
            RemoteError: The store cannot be asked.
        """
        from pyarrow.fs import FileSelector

        try:
            found = self._filesystem.get_file_info(FileSelector(self._path(key), allow_not_found=True))
        except OSError as error:
            raise _unreachable(key, error) from error
        return sorted(one.base_name for one in found)

    def delete(self, key: str, *, is_folder: bool = False) -> None:
        """Delete an object, or all below a key; nothing where it is not there.

        Raises:
            RemoteError: The store cannot be asked.
        """
        remove = self._filesystem.delete_dir if is_folder else self._filesystem.delete_file
        try:
            remove(self._path(key))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreachable(key, error) from error

    def _put(self, key: str, blocks: Iterable[bytes]) -> None:
        path = self._path(key)
        # A folder shows a file while it is written: there it is written beside and renamed.
        written = f"{path}.part" if self.is_local else path
        try:
            if self.is_local:
                self._filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            with self._filesystem.open_output_stream(written) as stream:
                for block in blocks:
                    stream.write(block)
            if self.is_local:
                self._filesystem.move(written, path)
        except OSError as error:
            raise _unreachable(key, error) from error

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}"


def open_object_store(uri: str, *, silent_s: float = SILENT_S) -> ObjectStore:
    """The store at an address; credentials come from where the client of that store looks for them.

    A store that does not answer is waited for and asked again within bounds: what is missing then comes in a later round.

    Args:
        uri: The address.
        silent_s: How long one attempt waits while nothing comes.

    Raises:
        ConfigError: The address is none that can be opened.
    """
    from pyarrow.fs import FileSystem

    try:
        filesystem, base = FileSystem.from_uri(_with_retry_limit(uri, silent_s))
        if filesystem.type_name == "s3":
            filesystem = _patient_s3(uri, region=filesystem.region, silent_s=silent_s)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the object store must be an address such as s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER, found {uri!r}: {error}"
        ) from error
    return ObjectStore(filesystem, base)


def _patient_s3(uri: str, *, region: str, silent_s: float) -> "FileSystem":
    """The file system of an address with times and attempts that end; an address has no words for them.

    Raises:
        ConfigError: The address says what cannot be passed on.
    """
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    parts = urlsplit(uri)
    words = dict(parse_qsl(parts.query, keep_blank_values=True))
    if odd := sorted(set(words) - set(_S3_WORDS)):
        raise ConfigError(f"an address of S3 may say {', '.join(_S3_WORDS)}, found {odd[0]!r}")
    words.pop("region", None)
    if parts.username:
        words |= {"access_key": unquote(parts.username), "secret_key": unquote(parts.password or "")}
    return S3FileSystem(
        region=region, connect_timeout=CONNECT_S, request_timeout=silent_s,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=N_ATTEMPTS), **words,
    )  # fmt: skip


def _with_retry_limit(uri: str, silent_s: float) -> str:
    """An address of Google's store, which else is asked again for a quarter of an hour; others as they are."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={N_ATTEMPTS * silent_s:g}"


def _unreachable(key: str, error: OSError) -> RemoteError:
    return RemoteError(f"the object store must answer for {key}, found {error}; it is asked again in the next round")
