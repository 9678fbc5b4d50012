"""The initial file system of `run --linux`: busybox, and a first process that makes a system of it.

Debian builds the drivers of virtio devices as modules. The first process loads those that the
devices ask for. Then it hands over to the system on a disk that the kernel's command line names
(`root=/dev/vda`), or configures a network card and starts a shell.
"""

from __future__ import annotations

import hashlib

from rvemu.cpio import archive, character_device, directory, link, program

#: What the first process prints when it has mounted what it needs, before the shell starts.
GREETING = "rvemu: this is busybox on Linux"

# What a machine with any virtio device needs; without it none can be seen.
_BUS = "virtio_mmio"

# Modules by the device's id (virtio 1.2, 5), in the order in which they need each other. Those that
# a kernel has built in have no file, and are passed over.
_DRIVERS = {
    1: "failover net_failover virtio_net",
    2: "virtio_blk crc16 crc32c_generic libcrc32c mbcache jbd2 ext4",
    3: "virtio_console",
    4: "virtio-rng",
    9: "netfs 9pnet 9pnet_virtio 9p",
}
# For who wants to run virtual machines in this one; they are loaded by hand.
_KVM = "irqbypass kvm"
#: All modules that may be wanted.
MODULES = tuple(" ".join([_BUS, *_DRIVERS.values(), _KVM]).split())

_CASES = "\n".join(f"        {number:#06x}) load {names} ;;" for number, names in _DRIVERS.items())

# The kernel passes what it does not know on its command line, as run="uname -a", to the first
# process, as a variable.
_INIT = f"""\
#!/bin/busybox sh
export PATH=/bin HOME=/ TERM=${{TERM:-linux}}
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
load() {{
    for module; do
        file=/lib/modules/$module.ko
        [ -e "$file" ] && insmod "$file" && rm "$file"
    done
}}
if [ -d /lib/modules ]; then
    load {_BUS}
    for device in $(cat /sys/bus/virtio/devices/*/device | sort -u); do
        case $device in
{_CASES}
        esac
    done
fi
# As with other initial file systems: a system on a disk is mounted read-only, unless told
# otherwise, for it to check itself; what the kernel does not know is its init's.
root= mode=ro init=/sbin/init
set -f
for word in $(cat /proc/cmdline); do
    case $word in
        root=*) root=${{word#root=}} ;;
        init=*) init=${{word#init=}} ;;
        ro | rw) mode=$word ;;
    esac
done
set +f
if [ -n "$root" ]; then
    if mount -o "$mode" "$root" /mnt && [ -e "/mnt$init" -o -L "/mnt$init" ]; then
        for place in dev proc sys; do
            mount -o move /$place /mnt/$place
        done
        exec switch_root /mnt "$init" "$@"
    fi
    echo "rvemu: root=$root: there is no $init"
fi
for card in /sys/class/net/eth*; do
    [ -e "$card" ] || continue
    card=${{card##*/}}
    ifconfig lo up
    ifconfig "$card" up
    udhcpc -i "$card" -n -q -t 3 -T 1 -s /etc/udhcpc.script >/dev/null 2>&1 ||
        echo "rvemu: $card: no answer from DHCP"
done
# A virtio console has the input, and knows how large the terminal is; a UART has to be told.
session="setsid cttyhack"
if [ -c /dev/hvc0 ]; then
    exec </dev/hvc0 >/dev/hvc0 2>&1
    session="setsid -c"
elif [ -n "$rows" ]; then
    stty rows "$rows" cols "$columns"
fi
echo "{GREETING} $(uname -r)"
if [ -n "$run" ]; then
    sh -c "$run"
else
    $session sh
fi
poweroff -f
"""

_DHCP = """\
#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
for address in $router; do
    route add default gw "$address" dev "$interface"
done
for address in $dns; do
    echo "nameserver $address"
done >> /etc/resolv.conf
"""


def digest() -> str:
    """A name for what `build` makes of the same busybox and modules: another version of rvemu may
    make something else."""
    return hashlib.sha256("\0".join((_INIT, _DHCP, *MODULES)).encode()).hexdigest()[:16]


def build(busybox: bytes, modules: bytes = b"") -> bytes:
    """An initial RAM disk in which busybox is everything; `modules` is an archive, too (the kernel
    unpacks one after the other)."""
    folders = ("bin", "dev", "proc", "sys", "tmp", "root", "etc", "mnt")
    base = archive(
        [
            *(directory(path) for path in folders),
            character_device("dev/console", 5, 1),
            character_device("dev/null", 1, 3),
            program("bin/busybox", busybox),
            link("bin/sh", "busybox"),
            program("etc/udhcpc.script", _DHCP.encode()),
            program("init", _INIT.encode()),
        ]
    )
    return base + modules
