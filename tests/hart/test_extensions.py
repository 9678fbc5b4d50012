"""ISA strings, and misa."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.errors import RvemuError
from rvemu.hart.extensions import (
    BY_NAME,
    DEFAULT_ISA,
    Ext,
    extension_names,
    extensions_after_misa,
    isa_string,
    misa_value,
    parse_isa,
)
from rvemu.hart.fields import MISA

PAGING = Ext.SV39 | Ext.SV48 | Ext.SV57
BASE = Ext.I | Ext.S | Ext.U | PAGING


@pytest.mark.parametrize(
    ("text", "extensions"),
    [
        ("rv64i", BASE),
        ("RV64IM", BASE | Ext.M | Ext.ZMMUL),
        ("rv64i2p1m2p0_zicsr2p0", BASE | Ext.M | Ext.ZMMUL | Ext.ZICSR),
        ("rv64ic", BASE | Ext.ZCA),
        ("rv64idc", BASE | Ext.ZCA | Ext.ZCD | Ext.D | Ext.F | Ext.ZICSR),
        ("rv64icd", BASE | Ext.ZCA | Ext.ZCD | Ext.D | Ext.F | Ext.ZICSR),
        ("rv64i_zca_d", BASE | Ext.ZCA | Ext.D | Ext.F | Ext.ZICSR),
        ("rv64izicsr", BASE | Ext.ZICSR),
        ("rv64iah_zba", BASE | Ext.ZAAMO | Ext.ZALRSC | Ext.H | Ext.ZICSR | Ext.ZBA),
        ("rv64ib", BASE | Ext.ZBA | Ext.ZBB | Ext.ZBS),
        ("rv64i_zfh", BASE | Ext.ZFH | Ext.ZFHMIN | Ext.F | Ext.ZICSR),
        ("rv64i_sv48", BASE & ~Ext.SV57),
        ("rv64i_svnapot", BASE | Ext.SVNAPOT),
        ("rv64isu", BASE),
        ("rv64i_zicclsm_ssccptr", BASE),
        (
            "rv64g",
            BASE
            | Ext.M
            | Ext.ZMMUL
            | Ext.ZAAMO
            | Ext.ZALRSC
            | Ext.F
            | Ext.D
            | Ext.ZICSR
            | Ext.ZIFENCEI,
        ),
    ],
)
def test_parse(text: str, extensions: int) -> None:
    assert parse_isa(text) == extensions


def test_privilege() -> None:
    assert parse_isa("rv64i", "m") == Ext.I
    assert parse_isa("rv64i", "mu") == Ext.I | Ext.U
    assert parse_isa("rv64ih", "m") == BASE | Ext.H | Ext.ZICSR


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rv64imq", "unknown extension 'q'; known are abcdfghimsu and .*zicsr"),
        ("rv64i_zfoo", "unknown extension 'zfoo'"),
        ("rv64i_zicsr_xfoo", "unknown extension 'xfoo'"),
        ("rv64i-m", "unknown extension '-m'"),
        ("rv32imac", "only 64-bit harts"),
        ("rv64", "must begin with rv64i or rv64g"),
        ("rv64e", "must begin with rv64i or rv64g"),
        ("", "must begin with rv64i or rv64g"),
        ("x86", "must begin with rv64i or rv64g"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(RvemuError, match=message):
        parse_isa(text)


@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse_isa(f"rv64i{text}")
    except RvemuError as error:
        assert str(error)


def test_default() -> None:
    extensions = parse_isa(DEFAULT_ISA)
    assert extensions == sum(BY_NAME.values()) - Ext.SVADE
    assert isa_string(extensions).startswith("rv64imafdch_zicbom_zicbop_zicboz_zicntr_zicond_zicsr")
    assert extension_names(extensions)[:7] == ["i", "m", "a", "f", "d", "c", "h"]


@given(st.sets(st.sampled_from(sorted(BY_NAME))))
def test_canonical_string_means_the_same(names: set[str]) -> None:
    extensions = parse_isa("_".join(["rv64i", *sorted(names)]))
    assert parse_isa(isa_string(extensions)) == extensions


@given(st.sets(st.sampled_from(sorted(BY_NAME))), st.integers(0, (1 << 64) - 1))
def test_misa_writes(names: set[str], value: int) -> None:
    built = parse_isa("_".join(["rv64i", *sorted(names)]))
    extensions = extensions_after_misa(built, value)
    assert extensions & ~built == 0
    held = misa_value(extensions)
    assert extensions_after_misa(built, held) == extensions
    # With Zca and D, C is there where Zcd is too, or D is off.
    assert held & ~(value | misa_value(built) | MISA.C.mask) == 0
    if extensions & Ext.D:
        assert extensions & Ext.F
    assert extensions_after_misa(built, (1 << 64) - 1) == built
