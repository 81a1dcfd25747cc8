"""What a record says of latency.

What came later leaves older records their bytes, and every row is bound to its file.
"""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.measurement import Measurement, NotMeasured
from zoo_registry.model.record import Record

LATER = (b"not_measured", b"sparse_reason", b'"kernels"')


def test_records_from_before_keep_their_bytes(make_record: Callable[..., Record]) -> None:
    spelled = make_record().to_bytes()
    assert not any(key in spelled for key in LATER)
    assert Record.read(spelled).to_bytes() == spelled


def test_what_came_later_is_written_where_it_says_something(
    make_record: Callable[..., Record], make_measurement: Callable[..., Measurement]
) -> None:
    digest = make_record().file.sha256
    row = _row(digest)
    found = make_measurement(digest, kernels="reference", sparse_reason="no zeros")
    spelled = make_record(measurements=[found], not_measured=[row]).to_bytes()
    assert all(key in spelled for key in LATER)
    assert Record.read(spelled).not_measured == (row,)
    assert Record.read(spelled).measurements == (found,)
    assert canonical(make_measurement(digest)) != canonical(found)


def test_a_row_without_a_number_is_of_this_file(make_record: Callable[..., Record]) -> None:
    with pytest.raises(ValidationError, match=r"not_measured\[0\]\.file_sha256"):
        make_record(not_measured=[_row(Digest.of(b"another file"))])


def _row(digest: Digest) -> NotMeasured:
    told = "LiteRT.js takes no int8 tensors"
    return NotMeasured(
        file_sha256=digest,
        device="web-wasm",
        threads=1,
        kind="interface",
        message=told,
        when="2026-01-01T00:00:00Z",
    )
