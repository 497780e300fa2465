# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the documents of an image say: its index, its manifest, its configuration.

They are of the OCI image specification and of Docker's schema 2, which differ in the names of
their types alone. A stranger has written them: what is not of the form that is described there
is refused. Pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ...definition.data import Fields, shortened
from ...errors import Refused
from ...storage import json_file
from .. import image_config
from ..digests import is_digest
from .reference import Platform
from .source import Config, nothing

# What skopeo takes of a registry, too.
SIZE_LIMIT = 4 << 20
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_PLATFORM_WORD = re.compile(r"[A-Za-z0-9._-]{0,64}\Z")
_OFFERS_NAMED = 20


class Manifest(t.NamedTuple):
    """The documents and layers of one image, by their digests."""

    config: str
    layers: tuple[str, ...]


def chosen(text: bytes, platform: Platform, *, image: str) -> str:
    """The digest of the platform's manifest where this one is an index of such; else "".

    Raises Refused where it has none for the platform, or is damaged.
    """
    try:
        offers = _offers(text)
        for offer, digest in offers or ():
            if offer[:2] == platform[:2] and platform.variant in ("", offer.variant):
                return _checked_digest(digest)
    except ValueError as error:
        raise _damaged("manifest", image, error) from error
    if offers is None:
        return ""
    named = sorted({str(offer) for offer, _digest in offers})
    raise Refused(
        f"the image {image} has nothing for {platform}",
        f"It is there for: {', '.join(named[:_OFFERS_NAMED]) or 'nothing'}.",
    )


def _offers(text: bytes) -> list[tuple[Platform, str]] | None:
    """What an index offers, as it is; None of what is no index."""
    fields = _fields(json_file.parse(text), "it", "mediaType", "manifests")
    kind = fields.take("mediaType", str, _INDEXES[0])
    listed = fields.maybe("manifests", list)
    if listed is None or kind not in _INDEXES:
        return None
    return [_offer(each) for each in listed]


def _offer(data: t.Any) -> tuple[Platform, str]:
    described = _fields(data, "a manifest in it", "digest", "platform")
    says = _fields(
        described.take("platform", dict, {}), "a platform", "os", "architecture", "variant"
    )
    words = [says.take(key, str, "") for key in ("os", "architecture", "variant")]
    if not all(map(_PLATFORM_WORD.match, words)):
        raise ValueError("a platform that is none")
    return Platform(*words), described.take("digest", str)


def only_manifest(text: bytes, *, image: str) -> str:
    """The digest of the one manifest in the index of a layout. Raises Refused."""
    try:
        fields = _fields(json_file.parse(text), "it", "manifests")
        (described,) = fields.take("manifests", list)
        return _checked_digest(_fields(described, "a manifest in it", "digest").take("digest", str))
    except ValueError as error:
        raise _damaged("index", image, error) from error


def manifest_of(text: bytes, *, image: str) -> Manifest:
    """The manifest that the document is. Raises Refused."""
    try:
        fields = _fields(json_file.parse(text), "it", "config", "layers")
        config = _fields(fields.take("config", dict), "config", "digest")
        layers = [_fields(each, "a layer", "digest") for each in fields.take("layers", list, [])]
        return Manifest(
            _checked_digest(config.take("digest", str)),
            tuple(_checked_digest(layer.take("digest", str)) for layer in layers),
        )
    except ValueError as error:
        raise _damaged("manifest", image, error) from error


def referred(text: bytes) -> set[str]:
    """The digests of the documents that a document names: manifests, a configuration.

    Of what is no such document, none.
    """
    try:
        data = json_file.parse(text)
    except ValueError:
        return set()
    found = set()
    for key, value in data.items() if isinstance(data, dict) else ():
        if key.casefold() in ("manifests", "config"):
            for each in value if isinstance(value, list) else [value]:
                digest = each.get("digest") if isinstance(each, dict) else None
                if isinstance(digest, str) and is_digest(digest):
                    found.add(digest)
    return found


def config_of(text: bytes, *, image: str, warn: t.Callable[[str], None] = nothing) -> Config:
    """What the configuration of an image says of how to run it.

    Only these fields are taken over. ``warn`` is told what of them is left out, since it means
    nothing here. Raises Refused where one is not what it should be.
    """
    try:
        whole = _fields(json_file.parse(text), "it", "config")
        said = _fields(whole.take("config", dict, {}), "config", *_CONFIG)
        entrypoint, cmd = said.texts("Entrypoint", []), said.texts("Cmd", [])
        user, _colon, group = said.take("User", str, "").partition(":")
        variables = [word.partition("=") for word in said.texts("Env", [])]
        for name, equals, _value in variables:
            if not equals:
                raise ValueError(f"Env holds {name!r}, which is no NAME=VALUE")
        signal = said.take("StopSignal", str, "")
        config = image_config.checked(
            {
                "argv": [*entrypoint, *cmd],
                "entrypoint": [*entrypoint],
                "cmd": [*cmd],
                "environment": {name: value for name, _equals, value in variables},
                "user": user,
                "group": group,
                "chdir": said.take("WorkingDir", str, "") or "/",
                "stop_signal": signal,
                "ports": sorted(said.take("ExposedPorts", dict, {})),
                "volumes": sorted(said.take("Volumes", dict, {})),
                "labels": said.table("Labels", str),
                "healthcheck": _healthcheck(
                    said.take("Healthcheck", dict, {}), said.texts("Shell", ["/bin/sh", "-c"])
                ),
            }
        )
        if signal and not config["stop_signal"]:
            warn(f"the StopSignal of {image} is left out: {shortened(signal)!r} is not a signal")
        return config
    except ValueError as error:
        raise _damaged("configuration", image, error) from error


def _healthcheck(data: dict[str, t.Any], shell: t.Sequence[str]) -> dict[str, t.Any]:
    """As docker has it: what is to be run, and the times in nanoseconds. Raises ValueError."""
    said = _fields(data, "Healthcheck", "Test", "Retries", *_DURATIONS)
    words = said.texts("Test", [])
    argv = {"CMD": words[1:], "CMD-SHELL": (*shell, *words[1:])}.get(words[0] if words else "")
    if not argv or len(words) == 1:
        return {}  # inherited from nobody, NONE, or of a kind that docker does not know either
    found: dict[str, t.Any] = {"argv": [*argv], "retries": said.take("Retries", int, 0)}
    for key, name in _DURATIONS.items():
        nanoseconds = said.take(key, int, 0)
        if not 0 <= nanoseconds < 1 << 63:
            raise ValueError(f"{key} of Healthcheck is no length of time")
        found[name] = nanoseconds / 1e9
    if not 0 <= found["retries"] < 1 << 31:
        raise ValueError("Retries of Healthcheck is no number of tries")
    return found


def check_layers(manifest: Manifest, config: bytes, *, image: str) -> tuple[str, ...]:
    """The digests of the layers as they are when they are not compressed.

    Raises Refused unless the configuration has one for each layer, as umoci takes for granted.
    """
    try:
        whole = _fields(json_file.parse(config), "it", "rootfs")
        said = _fields(whole.take("rootfs", dict, {}), "rootfs", "diff_ids").texts("diff_ids", [])
        if len(said) != len(manifest.layers):
            raise ValueError(f"diff_ids for {len(said)} layers, of {len(manifest.layers)}")
        return said
    except ValueError as error:
        raise _damaged("configuration", image, error) from error


_DURATIONS = {
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
    "StartInterval": "start_interval",
}
_CONFIG = (
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)


def _fields(data: t.Any, what: str, *known: str) -> Fields:
    """The fields of an object, those apart that are null: to skopeo and umoci they are missing.

    To these "Config" is "config" as well (encoding/json of Go). So that nobody reads the one and
    is run by the other, a field whose name is written in another way is refused. Raises ValueError.
    """
    if not isinstance(data, dict):
        return Fields(data, what)
    folded = {name.casefold(): name for name in known}
    for key in data:
        if key not in known and key.casefold() in folded:
            raise ValueError(f"{what} has {folded[key.casefold()]}, written in another way")
    return Fields({key: value for key, value in data.items() if value is not None}, what)


def _checked_digest(text: str) -> str:
    if not is_digest(text):
        raise ValueError("a digest in it is none (sha256: and 64 digits)")
    return text


def _damaged(what: str, image: str, error: ValueError) -> Refused:
    return Refused(
        f"the {what} of {image} is damaged: {error}", "Make or fetch it again, or do not trust it."
    )
