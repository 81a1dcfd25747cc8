"""The Hub as a remote: one commit a release, tags that heal.

A card that the Hub's own tools read.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugins.hub import TOKEN, Hub
from zoo_client.cache import Cache
from zoo_client.pull import pull
from zoo_client.remotes import open_remote
from zoo_client.remotes.base import Remote
from zoo_client.settings import Settings
from zoo_registry.model import card
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import Forbidden, NotFound, Unreachable, Unsupported, WrongUse
from zoo_registry.model.query import Query
from zoo_registry.model.ref import Ref

REPO = "zoo/digits-cnn"


@pytest.fixture
def on_hub(hub: Hub, settings: Settings) -> Callable[..., Remote]:
    def connect(token: str | None = TOKEN, url: str = f"hub://{REPO}") -> Remote:
        return open_remote(url, replace(settings, hub_endpoint=hub.url, hub_token=token))

    return connect


def test_a_release_is_one_commit_and_one_tag(hub: Hub, on_hub: Any, bundle: Any) -> None:
    given = bundle()
    on_hub().publish(given)
    repo = hub.repos[REPO]
    assert [commit.title for commit in repo.commits] == [
        "initial commit",
        "Publish digits-cnn-int8 1.0.0",
    ]
    assert repo.tags == {"int8-v1.0.0": repo.head.oid}
    assert sorted(repo.head.files) == [
        "README.md",
        "int8/model.tflite",
        "int8/record.json",
        "zoo.json",
    ]
    assert repo.head.files["int8/record.json"].data == given.record_bytes
    assert repo.head.files["int8/model.tflite"].sha256 == given.record.file.sha256


def test_a_publisher_who_died_before_the_tag_is_healed_by_the_next(
    hub: Hub,
    on_hub: Any,
    bundle: Any,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    tmp_path: Path,
) -> None:
    first, second = bundle(version="1.0.0"), bundle(version="1.1.0")
    from zoo_client.remotes.hub.repository import Repository

    with monkeypatch.context() as died:
        died.setattr(Repository, "mark", lambda *_: None)
        on_hub().publish(first)
    assert hub.repos[REPO].tags == {}
    assert on_hub().release(Ref.parse("digits-cnn-int8@1.0.0")).record_bytes == first.record_bytes
    on_hub().publish(second)
    assert set(hub.repos[REPO].tags) == {"int8-v1.0.0", "int8-v1.1.0"}
    for given in (first, second):
        release = on_hub().release(Ref.parse(f"digits-cnn-int8@{given.record.version}"))
        assert release.record_bytes == given.record_bytes
        path = pull(on_hub(), Cache(settings.cache), release, tmp_path / "x").path
        assert Digest.of(path.read_bytes()) == given.record.file.sha256


def test_somebody_else_commits_in_between_and_both_releases_stand(
    hub: Hub, on_hub: Any, bundle: Any
) -> None:
    on_hub().publish(bundle("fp32"))
    hub.before_commit = lambda: on_hub().publish(bundle("fp16"))
    on_hub().publish(bundle("int8"))
    assert {item.variant for item in on_hub().search(Query()).items} == {"fp32", "fp16", "int8"}
    card_text = hub.repos[REPO].head.files["README.md"].data.decode()
    assert all(f"| `{variant}` |" in card_text for variant in ("fp32", "fp16", "int8"))


def test_an_interrupted_download_goes_on(
    hub: Hub, on_hub: Any, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = bundle(data=bytes(range(256)) * 2000)
    on_hub().publish(given)
    remote = on_hub()
    release = remote.release(Ref.parse("digits-cnn-int8"))
    hub.requests.clear()
    hub.interrupt_after = 100_000
    pull(remote, Cache(settings.cache), release, tmp_path / "x")
    assert Digest.of((tmp_path / "x").read_bytes()) == given.record.file.sha256
    assert sum(request.startswith("GET /cdn/") for request in hub.requests) == 2


def test_writing_without_a_token_is_forbidden(on_hub: Any, bundle: Any) -> None:
    with pytest.raises(Forbidden) as refused:
        on_hub(token="hf_wrong").publish(bundle())
    assert "HF_TOKEN" in refused.value.hint


def test_one_repository_holds_one_model(on_hub: Any, bundle: Any) -> None:
    on_hub().publish(bundle())
    with pytest.raises(Unsupported, match="holds the model digits-cnn"):
        on_hub().publish(bundle(model="other-net", variant="fp32"))


def test_what_is_not_there(on_hub: Any, settings: Settings) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        on_hub().search(Query())
    with pytest.raises(WrongUse, match="org/repo"):
        on_hub(url="hub://just-one-part")
    with pytest.raises(Unreachable):
        open_remote(f"hub://{REPO}", replace(settings, hub_endpoint="http://127.0.0.1:9")).search(
            Query()
        )


def test_the_card_is_read_by_the_hubs_own_parser(on_hub: Any, hub: Hub, bundle: Any) -> None:
    from huggingface_hub import ModelCard

    on_hub().publish(
        bundle(
            "fp32",
            technique=None,
            description="A net. | <script>alert(1)</script> [x](javascript:y)",
        )
    )
    on_hub().publish(bundle("int8"))
    text = hub.repos[REPO].head.files["README.md"].data.decode()
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "apache-2.0",
        "litert",
        "image-classification",
    )
    assert {"tflite", "quantize"} <= set(data.tags)
    assert [(result.metric_type, result.metric_value) for result in data.eval_results or ()] == [
        ("accuracy", 0.97)
    ] * 2
    assert "<script>" not in text
    assert "2.000 ms" in text or "2 ms" in text
    assert "zoo pull digits-cnn-int8@1.0.0 --from hub://zoo/digits-cnn" in text
    assert card.for_hub([bundle("fp32").record], "hub://a/b").count("\n| `") == 1


@pytest.mark.skipif(
    shutil.which("hf") is None, reason="needs the hf command: pip install 'edgezoo[hub]'"
)
def test_the_real_hf_command_downloads_it(
    hub: Hub, on_hub: Any, bundle: Any, tmp_path: Path
) -> None:
    given = [bundle(version=version) for version in ("1.0.0", "1.1.0")]
    for each in given:
        on_hub().publish(each)
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [
        "hf",
        "download",
        REPO,
        "--revision",
        "int8-v1.0.0",
        "--local-dir",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{done.stderr}\n{hub.requests[-5:]}"
    assert (
        Digest.of((tmp_path / "out" / "int8" / "model.tflite").read_bytes())
        == given[0].record.file.sha256
    )
    assert (tmp_path / "out" / "int8" / "record.json").read_bytes() == given[0].record_bytes
