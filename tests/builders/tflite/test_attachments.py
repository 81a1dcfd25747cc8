"""What a file carries beside its network gets into every file that is made of it."""

import pytest

from plugins import edited_files
from plugins.edited_files import committed, edited, with_archive
from zoo_builders.tflite import attachments
from zoo_builders.tflite.flatbuffer import read
from zoo_registry.model.errors import BuildFailed

LABELS = {"labels.txt": b"ant\nbee\ncat\ndog\nelk\nfox\n", "about/readme.md": b"# what it is for"}


def described() -> bytes:
    return edited(committed(), edited_files.described)


@pytest.mark.parametrize("appended", [True, False])
def test_files_metadata_and_names_are_carried_over(appended: bool) -> None:
    original = read(with_archive(described(), LABELS, appended=appended))
    plain = read(committed("int8"))
    made = read(attachments.carried(original, plain))
    assert attachments.associated(made.data) == LABELS
    assert dict(made.metadata)["TFLITE_METADATA"] == dict(original.metadata)["TFLITE_METADATA"]
    assert [(one.key, list(one.inputs), list(one.outputs)) for one in made.signatures] == [
        ("classify", ["picture"], ["scores"])
    ]
    assert made.main.inputs[0] == made.signatures[0].inputs["picture"]
    assert [one.code for one in made.main.operators] == [one.code for one in plain.main.operators]


def test_the_archive_counts_from_the_first_byte_as_the_metadata_library_writes_it() -> None:
    original = read(with_archive(described(), LABELS, appended=False))
    made = attachments.carried(original, read(committed("int8")))
    found = attachments.archive(made)
    assert found is not None
    for info in found.infolist():
        assert made[info.header_offset :].startswith(b"PK\x03\x04")
        assert info.compress_type == 0
    assert made == attachments.carried(original, read(committed("int8")))


def test_labels_are_the_one_text_of_that_name() -> None:
    assert attachments.labels(with_archive(described(), LABELS)) == tuple(
        LABELS["labels.txt"].decode().split()
    )
    assert attachments.labels(described()) == ()
    assert attachments.labels(with_archive(described(), {"vocab.txt": b"a\nb"})) == ()


def test_what_would_be_lost_is_refused_by_name() -> None:
    original = read(edited(committed(), edited_files.second_output))
    with pytest.raises(BuildFailed, match="no place for 'scores' of the signature"):
        attachments.carried(original, read(committed("int8")))


def test_what_the_maker_says_of_its_own_bytes_is_not_carried_over() -> None:
    original, made = read(committed()), read(committed("int8"))
    entries = dict(read(attachments.carried(original, made)).metadata)
    assert entries["min_runtime_version"] == dict(made.metadata)["min_runtime_version"]
