"""menvcfg, henvcfg and senvcfg: what lesser modes may do, and switches of extensions."""

from rvemu.hart.counters import request_poll
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import MENVCFG, SENVCFG
from rvemu.hart.state import Hart
from rvemu.hart.tlb import flush_supervisor, flush_virtual
from rvemu.lang import U64, get, put

_CBIE_RESERVED = 2
_TRANSLATION = MENVCFG.ADUE.mask | MENVCFG.PBMTE.mask
_SWITCHES = _TRANSLATION | MENVCFG.STCE.mask


def _legal(h: Hart, value: U64) -> U64:
    """The fields that all three have, of extensions that are there. The reserved CBIE becomes 0."""
    mask: U64 = SENVCFG.FIOM.mask
    if h.extensions & Ext.ZICBOM:
        mask = mask | SENVCFG.CBCFE.mask
        if get(value, SENVCFG.CBIE) != _CBIE_RESERVED:
            mask = mask | SENVCFG.CBIE.mask
    if h.extensions & Ext.ZICBOZ:
        mask = mask | SENVCFG.CBZE.mask
    return value & mask


def write_senvcfg(h: Hart, value: U64) -> None:
    h.senvcfg = _legal(h, value)


def write_menvcfg(h: Hart, value: U64) -> None:
    switches: U64 = 0
    if h.extensions & Ext.SVADU:
        switches = MENVCFG.ADUE.mask
    if h.extensions & Ext.SVPBMT:
        switches = switches | MENVCFG.PBMTE.mask
    if h.extensions & Ext.SSTC:
        switches = switches | MENVCFG.STCE.mask
    legal = _legal(h, value) | (value & switches)
    changed = h.menvcfg ^ legal
    h.menvcfg = legal
    # norm:menvcfg_pbmte_henvcfg_pbmte_rdonly0 and its like: what is off here reads zero in henvcfg.
    # There it is forgotten, so that henvcfg always says what is in force.
    h.henvcfg = h.henvcfg & (legal | ~_SWITCHES)
    if changed & _TRANSLATION:
        flush_supervisor(h)
        flush_virtual(h)
    request_poll(h)


def write_henvcfg(h: Hart, value: U64) -> None:
    legal = _legal(h, value) | (value & h.menvcfg & _SWITCHES)
    changed = h.henvcfg ^ legal
    h.henvcfg = legal
    if changed & _TRANSLATION:
        flush_virtual(h)
    request_poll(h)


def initial_menvcfg(extensions: int) -> int:
    """menvcfg at reset. With Svadu alone, A and D bits are updated from the start; where Svade is
    there too, it is what software finds first."""
    return put(0, MENVCFG.ADUE, int(bool(extensions & Ext.SVADU and not extensions & Ext.SVADE)))
