"""The client's only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from zoo_registry.model.errors import WrongUse


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are, for one run of the client.

    Attributes:
        registry: `ZOO_REGISTRY`, address of the remote that verbs talk to; None = the registry in
            the project's folder.
        token: `ZOO_TOKEN`, sent to a registry with writes.
        home: `ZOO_HOME`, the project's folder: the nearest parent's `.zoo`, else `.zoo` here. It
            need not exist.
        cache: `ZOO_CACHE`, where pulled files are kept; shared by all projects of a user.
        logs: where the traceback of an unexpected error is written (the platform's log folder).
        data: `ZOO_DATA`, folder of the data sets that manifests name; None when unset.
        traceback: `ZOO_TRACEBACK`, show the traceback of an unexpected error instead of filing it.
        color: False under `NO_COLOR` (https://no-color.org).
        hub_endpoint: `HF_ENDPOINT`, address of a Hugging Face Hub; None = the public one.
        hub_token: `HF_TOKEN`; None = what `hf auth login` stored.
        keras_weights: `ZOO_KERAS_WEIGHTS`, address of a mirror of keras.applications' weights; None
            = Keras' own.
        chromium: `ZOO_CHROMIUM`, the browser that `web-wasm` measures in; None = the first Chromium
            or Chrome on the search path.
        litertjs: `ZOO_LITERTJS`, folder where LiteRT.js is, or is installed; None = one in the
            user's cache folder.
        ssh_agent: `ZOO_SSH_AGENT`, the command that the shell of an `ssh:` device runs to measure
            there.
        benchmark_model: `ZOO_BENCHMARK_MODEL`, path of Google's benchmark_model for phones, with
            `#sha256:…` behind it to pin it; None = the one in the cache
            (`tools/<abi>/benchmark_model`).
        adb_server: `ANDROID_ADB_SERVER_PORT` (and `…_ADDRESS`), where adb's server is looked for
            before it is spoken to; None = `ADB_SERVER_SOCKET` says something else than a port.
    """

    home: Path
    cache: Path
    logs: Path
    registry: str | None = None
    token: str | None = field(default=None, repr=False)
    data: Path | None = None
    traceback: bool = False
    color: bool = True
    hub_endpoint: str | None = None
    hub_token: str | None = field(default=None, repr=False)
    keras_weights: str | None = None
    chromium: Path | None = None
    litertjs: Path | None = None
    ssh_agent: str = "zoo bench --agent"
    benchmark_model: str | None = None
    adb_server: tuple[str, int] | None = ("127.0.0.1", 5037)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Self:
        """Read the environment, as seen from `folder` (default: the current one).

        Empty variables count as unset.

        Raises:
            WrongUse: `ZOO_TOKEN` holds something that cannot be sent in a header.
        """
        env = {
            key: value
            for key, value in (os.environ if environ is None else environ).items()
            if value
        }
        token = env.get("ZOO_TOKEN")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise WrongUse(
                "ZOO_TOKEN holds characters that no token has",
                hint="zoo registry token --help   # makes one",
            )
        return cls(
            home=Path(env["ZOO_HOME"]) if "ZOO_HOME" in env else _nearest(folder or Path.cwd()),
            cache=Path(env["ZOO_CACHE"]) if "ZOO_CACHE" in env else _user_folder("cache"),
            logs=_user_folder("log"),
            registry=env.get("ZOO_REGISTRY"),
            token=token,
            data=Path(env["ZOO_DATA"]) if "ZOO_DATA" in env else None,
            traceback=env.get("ZOO_TRACEBACK", "0") != "0",
            color="NO_COLOR" not in env,
            hub_endpoint=env.get("HF_ENDPOINT"),
            hub_token=env.get("HF_TOKEN"),
            keras_weights=env.get("ZOO_KERAS_WEIGHTS"),
            chromium=Path(env["ZOO_CHROMIUM"]) if "ZOO_CHROMIUM" in env else None,
            litertjs=Path(env["ZOO_LITERTJS"]) if "ZOO_LITERTJS" in env else None,
            ssh_agent=env.get("ZOO_SSH_AGENT", "zoo bench --agent"),
            benchmark_model=env.get("ZOO_BENCHMARK_MODEL"),
            adb_server=_adb_server(env),
        )


def _adb_server(env: Mapping[str, str]) -> tuple[str, int] | None:
    """Find out, as adb does, where its server listens."""
    socket = env.get("ADB_SERVER_SOCKET", "")
    if socket:
        kind, _, rest = socket.partition(":")
        host, _, port = rest.rpartition(":")
        return (host or "127.0.0.1", int(port)) if kind == "tcp" and port.isdecimal() else None
    port = env.get("ANDROID_ADB_SERVER_PORT", "5037")
    return (
        (env.get("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1"), int(port))
        if port.isdecimal()
        else None
    )


def _nearest(folder: Path) -> Path:
    here = folder.resolve()
    return next(
        (parent / ".zoo" for parent in (here, *here.parents) if (parent / ".zoo").is_dir()),
        here / ".zoo",
    )


def _user_folder(kind: str) -> Path:
    import platformdirs

    return (
        platformdirs.user_cache_path("edgezoo")
        if kind == "cache"
        else platformdirs.user_log_path("edgezoo")
    )
