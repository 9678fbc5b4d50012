"""rvemu is killed while its guest writes: what the guest had flushed is in the image."""

from pathlib import Path

import pytest

from rvemu.linux import Linux
from tests.linux import file_system
from tests.linux.guest import Guest

pytestmark = pytest.mark.slow

# A record counts as written when fsync returns; then it is announced. Meanwhile there are other
# writes, of all that a journal cares for.
SCRIPT = """
mount -t ext4 /dev/vda /mnt; cd /mnt;
(while :; do dd if=/dev/zero of=big bs=1M count=32; done) 2>/dev/null &
(while :; do mkdir a; cp /bin/busybox a/b; mv a c; rm -r c; done) &
append() { dd of=records oflag=append conv=notrunc,fsync 2>/dev/null; };
while :; do n=$((n+1)); echo record $n | append && echo wrote $n; done
"""


@pytest.mark.parametrize("records", [1, 60])
def test_what_was_flushed_is_there(linux: Linux, tmp_path: Path, records: int) -> None:
    del linux  # it is there: nothing has to be fetched
    image = tmp_path / "disk.img"
    file_system.make(image, "128M")
    script = " ".join(SCRIPT.split("\n"))
    with Guest(
        *("--drive", f"file={image},format=raw"), *("--append", f'quiet run="{script}"')
    ) as guest:
        guest.expect(f"\nwrote {records}\n")
        guest.process.kill()
        rest, _ = guest.process.communicate()
    announced = (guest.text + rest.decode().replace("\r\n", "\n")).count("\nwrote ")
    assert announced >= records
    file_system.recover(image)
    file_system.check(image)
    written = file_system.read(image, "/records").decode().splitlines()
    assert written[:announced] == [f"record {n}" for n in range(1, announced + 1)]
