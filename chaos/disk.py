"""A disk small enough to be filled: a file system of its own in a file of the run's folder, or in memory."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_LEAST_STEP = 4096


class Disk:
    """A folder with a file system of its own. `why_not` says why there is none; empty when there is."""

    def __init__(self, folder: Path, why_not: str) -> None:
        self.folder = folder
        self.why_not = why_not
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Take every free block."""
        with self._ballast.open("wb") as file:
            taken, step = 0, shutil.disk_usage(self.folder).free
            while step >= _LEAST_STEP:
                try:
                    os.posix_fallocate(file.fileno(), taken, step)
                    taken += step
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def free(self) -> None:
        """Give them back."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Disk]:
    """A file system of this size at the folder; where the machine allows none, the folder alone and the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    why_not = _mount(folder, size_mb)
    if not why_not:
        folder.chmod(0o711)  # now the root of the new file system
    try:
        yield Disk(folder, why_not)
    finally:
        if not why_not:
            _unmount(folder)


def _mount(folder: Path, size_mb: int) -> str:
    """Empty when it is mounted, otherwise why not."""
    if os.geteuid() != 0:
        return f"mounting a small file system needs root, and this is uid {os.geteuid()}"
    image = folder.with_name(f"{folder.name}.img")
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    # No blocks reserved for root: PostgreSQL does not run as root, and would find the disk full too early.
    failed = _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image)) or _run(
        "mount", "-o", "loop", str(image), str(folder)
    )
    if failed:
        image.unlink()
        failed = _run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "paidup-chaos", str(folder)) and failed
    return failed


def _unmount(folder: Path) -> None:
    if _run("umount", str(folder)):
        _run("umount", "-l", str(folder))


def _run(*command: str) -> str:
    """Empty when it went well, otherwise what it said."""
    try:
        done = subprocess.run(_found(command), check=False, capture_output=True, text=True, timeout=60)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return "" if done.returncode == 0 else f"{command[0]}: {' '.join(done.stderr.split()) or done.returncode}"


def _found(command: Sequence[str]) -> list[str]:
    """Programs of /usr/sbin are not always in the PATH."""
    where = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [shutil.which(command[0], path=where) or command[0], *command[1:]]
