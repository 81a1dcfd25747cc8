"""`android:<serial>`: a phone behind a cable, through `adb`.

Google's `benchmark_model` with XNNPACK there, on the phone's fastest cores.

What a session does there is in `phone.session`, how a file is measured in `phone.runner`.
"""

import socket
from collections.abc import Sequence

from typing_extensions import override

from zoo_builders.devices import DEVICES, Device, Found, Setting
from zoo_builders.devices.phone import tool
from zoo_builders.devices.phone.adb import READY, Adb, Phone
from zoo_builders.devices.phone.session import QUESTION_S, Handset
from zoo_builders.tflite import litert
from zoo_client.settings import Settings
from zoo_registry.model.errors import DigestMismatch, MeasureFailed, Unsupported

_GLANCE_S = 5.0
_INSTALL_ADB = "apt install adb"
_PLUG_IN = (
    "switch on USB debugging (settings, developer options), plug the phone in, then: adb devices"
)


class Android(Device):
    """A phone behind a cable.

    Needs `adb`, a phone that allows debugging (Android 7 or newer), and Google's benchmark_model.
    """

    name = "android"
    runtime = litert.RUNTIME

    @override
    def found(self) -> Sequence[Found]:
        """List the phones that adb knows; its server is not started for that."""
        adb, settings = Adb.find(_GLANCE_S), Settings.read()
        if adb is None:
            return (Found("android:<serial>", missing="adb", hint=_INSTALL_ADB),)
        if not _server_runs(settings):
            hint = "adb start-server; adb devices"
            return (Found("android:<serial>", missing="adb's server", hint=hint),)
        try:
            phones = adb.phones()
        except MeasureFailed as error:
            hint = error.hint or "adb devices"
            return (Found("android:<serial>", missing=error.message, hint=hint),)
        return [_line(one, adb, settings) for one in phones] or [
            Found("android:<serial>", missing="a phone", hint=_PLUG_IN)
        ]

    @override
    def connect(self, setting: Setting) -> Handset:
        """Reach the phone; `android` alone will do where exactly one is connected.

        Raises:
            Unsupported: no such phone, it does not allow this, too few cores, or no benchmark_model
                for it.
            DigestMismatch: benchmark_model is not the one that was stated or used before.
            MeasureFailed: (kind `device`) adb or the phone does not answer.
        """
        adb = Adb.find(min(setting.timeout_s, QUESTION_S))
        if adb is None:
            raise Unsupported("adb is not installed", hint=_INSTALL_ADB)
        one = _choose(adb.phones(), setting.device.partition(":")[2])
        handset = Handset(setting, adb.of(one.serial))
        try:
            handset.reach(Settings.read())
        except BaseException:
            handset.leave()
            raise
        return handset


def _server_runs(settings: Settings) -> bool:
    if settings.adb_server is None:
        return True
    try:
        socket.create_connection(settings.adb_server, timeout=1).close()
    except OSError:
        return False
    return True


def _line(one: Phone, adb: Adb, settings: Settings) -> Found:
    missing, hint = one.why_not() if one.state != READY else _lacks(adb.of(one.serial), settings)
    return Found(f"android:{one.serial}", one.model, missing, hint)


def _lacks(adb: Adb, settings: Settings) -> tuple[str, str]:
    """Say what a phone that can be used still lacks, and what brings it; empty when nothing."""
    try:
        tool.find(settings, adb.shell("getprop ro.product.cpu.abi", _GLANCE_S).out.strip())
    except (Unsupported, DigestMismatch, MeasureFailed) as error:
        return error.message, error.hint or "adb devices"
    return "", ""


def _choose(phones: Sequence[Phone], serial: str) -> Phone:
    """Pick the phone that is meant, and see that it can be used."""
    ready = [one for one in phones if one.state == READY]
    listed = ", ".join(f"android:{one.serial}" for one in phones) or "none"
    if not serial and len(ready) > 1:
        raise Unsupported(
            f"{len(ready)} phones are connected, and none is named", hint=f"name one of {listed}"
        )
    meant = [
        one for one in (phones if serial else ready or phones) if not serial or one.serial == serial
    ]
    if not meant:
        what = (
            f"no phone {serial} is connected (connected: {listed})"
            if serial
            else "no phone is connected"
        )
        raise Unsupported(what, hint=_PLUG_IN)
    missing, hint = meant[0].why_not()
    if missing:
        raise Unsupported(f"android:{meant[0].serial}: {missing}", hint=hint)
    return meant[0]


DEVICES.add(Android.name, Android())
