"""Packages of another architecture and suite, through the system's own apt.

Everything that apt keeps goes to a folder of ours: sources, lists, cache, status. Of the system's
configuration only two things are used, and nothing is changed: where its mirror of Debian is (with
the proxy, if one is configured), and the keys that it trusts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rvemu.errors import RvemuError

_DEBIAN_KEYS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)

# What apt prints for each list of packages that the system's sources name.
_TARGET_FORMAT = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)"

_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Architectures;
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "2";
"""

_TIMEOUT = 900  # seconds for one command; packages are large, and networks slow


class AptError(RvemuError):
    """Packages cannot be had by way of apt, for a reason that is one line."""


class Mirror(NamedTuple):
    """Where a system gets Debian from, and the keys that sign it ("": those it trusts)."""

    uri: str
    signed_by: str


class Apt:
    """apt for one architecture and suite, in a folder of its own. Raises `AptError` where this
    computer has no apt, or no source of Debian packages."""

    def __init__(self, folder: Path, suite: str, architecture: str) -> None:
        for program in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(program) is None:
                raise AptError(f"this computer has no {program}")
        if re.search(r'[\s"\\;{}]', str(folder)):
            raise AptError(f"apt cannot work in a folder of this name: {folder}")
        self.folder = folder
        self._configuration = folder / "apt.conf"
        mirror = find_mirror()
        for part in ("state/lists/partial", "cache/archives/partial", "log"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "state/status").touch()
        signed = f" signed-by={mirror.signed_by}" if mirror.signed_by else ""
        source = f"deb [arch={architecture}{signed}] {mirror.uri} {suite} main\n"
        (folder / "sources.list").write_text(source)
        self._configuration.write_text(
            _CONFIGURATION.format(folder=folder, architecture=architecture)
        )

    def update(self) -> None:
        """Fetch the list of packages."""
        self._run("apt-get", "update", "--error-on=any")

    def depends(self, package: str) -> list[str]:
        """The names of the packages that the newest version of a package depends on."""
        text = self._run("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Depends: (.*)$", text, re.MULTILINE)
        names = re.split(r"[,|]", found[1]) if found else []
        return [re.split(r"[\s(:]", name.strip())[0] for name in names]

    def download(self, package: str) -> Path:
        """Fetch a package, whose signed checksum apt verifies; its file."""
        target = self.folder / "packages" / package
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        self._run("apt-get", "download", package, cwd=target)
        files = list(target.glob("*.deb"))
        if len(files) != 1:
            raise AptError(f"apt-get fetched no package {package}")
        return files[0]

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        return _run(program, "-c", str(self._configuration), "-qq", *arguments, cwd=cwd)


def find_mirror() -> Mirror:
    """Where the system's own sources have Debian's packages from."""
    lines = _run("apt-get", "indextargets", "--format", _TARGET_FORMAT, "Created-By: Packages")
    maybe = None
    for line in lines.splitlines():
        origin, label, component, uri, entry = line.split("|")
        if component != "main":
            continue
        mirror = Mirror(uri, _keys_of(entry))
        if origin == label == "Debian":
            return mirror
        # Where the lists were not fetched yet, or are gone, apt does not know what they are.
        if origin.startswith(("$", "Debian")) or not origin:
            named_so = uri.rstrip("/").endswith("/debian")
            maybe = maybe or (mirror if named_so else None)
    if maybe is None:
        raise AptError("apt's sources name no mirror of Debian")
    return maybe


def _keys_of(entry: str) -> str:
    """The keyring for an entry of the system's sources (`file:line`), as far as it names one."""
    try:
        text = Path(entry.rpartition(":")[0]).read_text(errors="replace")
    except OSError:
        text = ""
    named = re.search(r"signed-by[:=]\s*(/[^\s\]]+)", text, re.IGNORECASE)
    for keys in (*_DEBIAN_KEYS, named[1] if named else ""):
        if keys and Path(keys).is_file():
            return keys
    return ""


def read_member(package: Path, pattern: str) -> tuple[str, bytes]:
    """Name and content of the first regular file in a package whose path (`./usr/bin/x`) matches a
    regular expression as a whole."""
    for member in read_members(package, pattern):
        return member
    raise AptError(f"{package.name} has no file {pattern}")


def read_members(package: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each such file, in the package's order."""
    import tarfile

    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as unpacker:
        try:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as files:
                for member in files:
                    stream = files.extractfile(member) if member.isreg() else None
                    if stream is not None and re.fullmatch(pattern, member.name):
                        yield member.name, stream.read()
        except tarfile.TarError as error:
            raise AptError(f"{package.name}: {error}") from error
        finally:
            unpacker.kill()


def _run(*command: str, cwd: Path | None = None) -> str:
    """Run a command; what it prints."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AptError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        reason = lines[0][2:].strip() if lines else f"exit status {done.returncode}"
        raise AptError(f"{command[0]} fails: {reason}")
    return done.stdout
