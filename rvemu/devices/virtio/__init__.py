"""Virtio 1.2 devices over MMIO.

Source: Virtual I/O Device (VIRTIO) Version 1.2, Committee Specification 01. Its section names are
cited as "virtio: ...".
"""
