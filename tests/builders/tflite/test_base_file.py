"""Which part of a file is meant, and what is in the way of taking it."""

from collections import Counter
from random import Random

import pytest

from plugins import edited_files
from plugins.edited_files import committed, edited
from zoo_builders.tflite import attachments, base_file, first_subgraph
from zoo_builders.tflite.base_file import Choice, Problem, choose, problems
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.tflite_file import BadFile, TfliteFile
from zoo_registry.model.errors import BuildFailed


def asked(
    file: TfliteFile, signature: str = "", output: str | int | None = None
) -> Choice | Problem:
    return choose(file, signature, output, scored=True)


def refused(found: Choice | Problem) -> Problem:
    assert isinstance(found, Problem)
    return found


def test_one_signature_and_one_output_need_no_words() -> None:
    assert asked(read(committed())) == Choice(0, 0, "")


def test_of_two_signatures_none_is_taken_silently() -> None:
    file = read(edited(committed(), edited_files.second_subgraph))
    none = refused(asked(file))
    assert none.key == "signature"
    assert "first (picture float32[1, 16, 16, 3] → scores float32[1, 6]); second" in none.message
    assert asked(file, "second") == Choice(1, 0, "")
    wrong = refused(asked(file, "secnd"))
    assert "first, second" in wrong.message
    assert "second" in wrong.hint


def test_the_chosen_signature_runs_first_and_nothing_is_lost() -> None:
    import numpy as np

    file = read(edited(committed(), edited_files.second_subgraph))
    second = read(first_subgraph.put(file, 1))
    example = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    ours, theirs = Session(second.data).infer(example), Session(file.data).infer(example)
    np.testing.assert_allclose(ours - theirs, 7, atol=1e-4)
    assert {one.key: one.subgraph for one in second.signatures} == {"first": 1, "second": 0}
    assert first_subgraph.put(file, 0) == file.data


def test_control_flow_follows_the_subgraphs_to_their_new_places() -> None:
    def calls_the_second(schema: object, model: object) -> None:
        edited_files.second_subgraph(schema, model)
        edited_files.call_of(schema, model, subgraph=2, called=1)

    file = read(edited(committed(), calls_the_second))
    assert [one.options for one in file.subgraphs[2].operators] == [{"Subgraph": 1}]
    moved = read(first_subgraph.put(file, 1))
    assert [one.options for one in moved.subgraphs[2].operators] == [{"Subgraph": 0}]


def test_of_two_outputs_none_is_judged_silently() -> None:
    file = read(edited(committed(), edited_files.second_output))
    none = refused(asked(file))
    assert none.key == "output"
    assert "features float32[1, 1, 1, 40]; scores float32[1, 6]" in none.message
    assert asked(file, output="scores") == asked(file, output=1) == Choice(0, 1, "scores")
    assert "scores" in refused(asked(file, output="score")).hint
    assert refused(asked(file, output=2)).key == "output"
    assert choose(file, "", None, scored=False) == Choice(0, None, "")


@pytest.mark.parametrize("name", ["FlexErf", "Landmarks2TransformMatrix"])
def test_an_operator_that_the_runtime_lacks_is_named(name: str) -> None:
    file = read(edited(committed(), edited_files.custom_operator(name)))
    [problem] = problems(file, Choice(0))
    assert name in problem.message
    assert problem.hint


def test_custom_operators_of_the_runtime_are_taken() -> None:
    file = read(edited(committed(), edited_files.custom_operator("TFLite_Detection_PostProcess")))
    assert not problems(file, Choice(0))


def test_what_cannot_be_fed_or_judged_is_told() -> None:
    def strings(schema: object, model: object) -> None:
        graph = model.subgraphs[0]
        graph.tensors[int(graph.inputs[0])].type = schema.TensorType.STRING

    def nothing_out(_: object, model: object) -> None:
        model.subgraphs[0].outputs, model.signatureDefs = [], []

    def many(_: object, model: object) -> None:
        graph = model.subgraphs[0]
        graph.tensors[int(graph.inputs[0])].shape = [8, 16, 16, 3]

    def two_inputs(_: object, model: object) -> None:
        graph = model.subgraphs[0]
        graph.inputs, model.signatureDefs = [int(graph.inputs[0])] * 2, []

    told = {
        change.__name__: [
            one.message for one in problems(read(edited(committed(), change)), Choice(0))
        ]
        for change in (strings, nothing_out, many, two_inputs)
    }
    assert "takes string" in told["strings"][0]
    assert "no outputs" in told["nothing_out"][0]
    assert "[8, 16, 16, 3]; expected a batch of one" in told["many"][0]
    assert "the file has 2 inputs" in told["two_inputs"][0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fp32", ""),
        ("int8", "stored as int8"),
        ("sparse", "stored sparse"),
        ("sparse-fp16", "stored as float16"),
    ],
)
def test_what_is_stored_in_another_way_already_is_told_with_the_tensor(
    name: str, words: str
) -> None:
    found = base_file.stored_already(read(committed(name)).main)
    assert words in found
    assert bool(found) == bool(words)


def test_an_open_batch_is_no_problem() -> None:
    file = read(edited(committed(), edited_files.open_batch))
    assert base_file.unknown_sizes(file, 0) == ["input"]
    assert not problems(file, Choice(0))
    assert attachments.archive(file.data) is None


def _damaged(data: bytes, random: Random) -> bytes:
    """Cut a file, or change, add and take out a few of its bytes."""
    found = bytearray(data[: random.randrange(len(data))] if random.random() < 0.15 else data)
    for _ in range(random.choice((1, 2, 4, 16))):
        place, kind = random.randrange(len(found) + 1), random.randrange(4)
        number = random.choice((0, 1, -1, 2**31 - 1, -(2**31), 255, random.randrange(-200, 200)))
        piece = (
            bytes([random.randrange(256)]),
            number.to_bytes(4, "little", signed=True),
            random.randbytes(2),
            b"",
        )[kind]
        taken = len(piece) if kind else random.randrange(2)
        found[place : place + (taken or random.randrange(9))] = piece
    return bytes(found)


def test_damaged_files_are_judged_or_refused_and_never_crash() -> None:
    random = Random(7)
    whole = (
        committed("sparse"),
        edited(committed("int8"), edited_files.open_batch),
        edited(committed(), edited_files.second_subgraph),
        edited_files.with_archive(edited(committed(), edited_files.described), {"a.txt": b"b"}),
    )
    outcomes = Counter(_outcome(_damaged(random.choice(whole), random)) for _ in range(300))
    assert min(outcomes["read"], outcomes["refused"]) > 20, outcomes


def _outcome(data: bytes) -> str:
    try:
        file = read(data)
        choice = asked(file)
        if isinstance(choice, Choice):
            problems(file, choice)
        base_file.stored_already(file.main)
        attachments.labels(data)
        for number in range(len(file.subgraphs)):
            first_subgraph.put(file, number)
    except (BadFile, BuildFailed):
        return "refused"
    return "read"
