"""How clients write operations, and what each mistake is called."""

from typing import Any

import msgspec
import pytest
import zxingcpp
from hypothesis import example, given
from hypothesis import strategies as st

from pivision import operations
from pivision.errors import InvalidJson, InvalidParameter, InvalidRequest, PiVisionError, UnknownOperation
from pivision.operations import OPERATIONS, OperationCall
from pivision.operations.codes import CodesParams
from pivision.operations.quality import QualityParams

CODES = OperationCall("codes", CodesParams())
QUALITY = OperationCall("quality", QualityParams())


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("codes", (CODES,)),
        (b"codes", (CODES,)),
        ("codes,quality", (CODES, QUALITY)),
        ("quality,codes", (QUALITY, CODES)),
        (" codes , quality ,", (CODES, QUALITY)),
        ('["codes"]', (CODES,)),
        ('\n ["codes", {"name": "quality"}]', (CODES, QUALITY)),
        ('[{"name": "codes", "params": {}}]', (CODES,)),
        (
            '[{"name": "codes", "params": {"formats": ["QRCode", "EAN13"]}}]',
            (OperationCall("codes", CodesParams(formats=("QRCode", "EAN13"))),),
        ),
        (
            '[{"params": {"highlight_level": 255, "shadow_level": 0}, "name": "quality"}, "codes"]',
            (OperationCall("quality", QualityParams(shadow_level=0, highlight_level=255)), CODES),
        ),
    ],
)
def test_what_is_understood(text: str | bytes, calls: tuple[OperationCall, ...]) -> None:
    assert operations.parse(text) == calls


DEEP = "[" * 30_000 + "]" * 30_000


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", InvalidRequest, "missing or empty"),
        (" , ,", InvalidRequest, "missing or empty"),
        ("[]", InvalidRequest, "missing or empty"),
        ("annotate", InvalidRequest, "other operations"),
        ("codes,codes", InvalidRequest, "twice"),
        ('["codes", {"name": "codes", "params": {"formats": ["QRCode"]}}]', InvalidRequest, "twice"),
        ('{"name": "codes"}', InvalidRequest, "array"),
        ('"codes"', InvalidRequest, "array"),
        ("[1]", InvalidRequest, "int"),
        ("[null]", InvalidRequest, "null"),
        ('[{"params": {}}]', InvalidRequest, "name"),
        ('[{"name": 5}]', InvalidRequest, "str"),
        ('[{"name": "codes", "parameters": {}}]', InvalidRequest, "parameters"),
        ('[{"name": "codes", "params": []}]', InvalidRequest, "object"),
        ('["codes"', InvalidJson, "truncated"),
        ('["codes",]', InvalidJson, "byte"),
        ('[{"name": "codes"}] and more', InvalidJson, "byte"),
        ("[{'name': 'codes'}]", InvalidJson, "byte"),
        (b'["\xff"]', InvalidJson, "utf-8"),
        ('["\\ud800"]', InvalidJson, ""),
        (DEEP, InvalidRequest, ""),
        ('[{"name": "codes", "params": {"formats": ' + DEEP + "}}]", InvalidJson, ""),
        ('[{"name": "codes", "params": {"formats": ' + DEEP[:30_000], InvalidJson, ""),
        ("smiles", UnknownOperation, "'smiles'"),
        ("Codes", UnknownOperation, "codes, faces"),
        (b"\xff\xfe", UnknownOperation, ""),
        ('["codes", "smiles"]', UnknownOperation, "'smiles'"),
        ('[{"name": ""}]', UnknownOperation, "''"),
        ('[{"name": "codes", "name": "quality"}]', InvalidRequest, "'name' twice"),
        ('[{"name": "quality", "params": {"shadow_level": 1, "shadow_level": 2}}]', InvalidRequest, "'shadow_level'"),
        ('[{"name": "codes", "params": {"format": ["QRCode"]}}]', InvalidParameter, "format"),
        ('[{"name": "codes", "params": {"formats": "QRCode"}}]', InvalidParameter, "array"),
        ('[{"name": "codes", "params": {"formats": ["QR"]}}]', InvalidParameter, "QR"),
        ('[{"name": "codes", "params": {"formats": [1]}}]', InvalidParameter, "formats"),
        ('[{"name": "codes", "params": {"formats": null}}]', InvalidParameter, "null"),
        (
            '[{"name": "codes", "params": {"formats": [' + ",".join(['"QRCode"'] * 33) + "]}}]",
            InvalidParameter,
            "32",
        ),
        ('[{"name": "quality", "params": {"shadow_level": -1}}]', InvalidParameter, "shadow_level"),
        ('[{"name": "quality", "params": {"highlight_level": 256}}]', InvalidParameter, "255"),
        ('[{"name": "quality", "params": {"shadow_level": 1.5}}]', InvalidParameter, "int"),
        ('[{"name": "quality", "params": {"shadow_level": "10"}}]', InvalidParameter, "str"),
        ('[{"name": "quality", "params": {"shadow_level": 1e400}}]', InvalidParameter, ""),
        ('[{"name": "quality", "params": {"shadow_level": 99999999999999999999}}]', InvalidParameter, ""),
    ],
)
def test_what_is_not(text: str | bytes, error: type[PiVisionError], says: str) -> None:
    with pytest.raises(PiVisionError) as caught:
        operations.parse(text)
    assert type(caught.value) is error
    assert says in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["codes", "quality", "smiles", ""]) | st.text(max_size=5)
params = st.fixed_dictionaries({}, optional={"formats": json_values, "shadow_level": json_values, "x": json_values})
calls = st.fixed_dictionaries({"name": names}, optional={"params": params | json_values})


def parse_or_refuse(text: str | bytes) -> None:
    try:
        parsed = operations.parse(text)
    except PiVisionError:
        return
    assert parsed
    assert all(isinstance(call, OperationCall) for call in parsed)
    assert operations.parse(msgspec.json.encode(parsed)) == parsed


@given(st.text() | st.binary())
@example("[")
@example("\x00codes")
@example("\ufeffcodes")
def test_arbitrary_text_is_understood_or_refused(text: str | bytes) -> None:
    parse_or_refuse(text)


@given(st.lists(names | calls | json_values, max_size=4))
def test_arbitrary_json_is_understood_or_refused(value: list[Any]) -> None:
    parse_or_refuse(msgspec.json.encode(value))


@given(
    st.permutations(["codes", "quality"]),
    st.lists(st.sampled_from(["QRCode", "EAN13", "UPCA", "DataMatrix"]), max_size=32),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_what_is_stored_is_what_was_asked_for(
    order: list[str], formats: list[str], shadow: int, highlight: int
) -> None:
    wanted = {"codes": {"formats": formats}, "quality": {"shadow_level": shadow, "highlight_level": highlight}}
    parsed = operations.parse(msgspec.json.encode([{"name": name, "params": wanted[name]} for name in order]))
    stored = msgspec.json.encode(parsed)
    assert msgspec.json.decode(stored) == [{"name": name, "params": wanted[name]} for name in order]
    assert operations.parse(stored) == parsed


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_works_without_parameters(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.name == name
    others = "" if name == "codes" else "codes,"  # annotate goes with another only
    assert operations.parse(others + name)[-1] == OperationCall(name, operation.params())
    assert operation.summary.endswith(".")


def test_the_formats_are_those_that_the_reader_knows() -> None:
    formats = msgspec.json.schema(CodesParams)["$defs"]["CodesParams"]["properties"]["formats"]["items"]["enum"]
    assert len(formats) > 20
    for name in formats:
        assert zxingcpp.barcode_formats_from_str(name)
