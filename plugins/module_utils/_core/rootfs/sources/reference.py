# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The names of images, and what manifests and configurations of images say.

Names are those of containers-transports(5); manifests are of the OCI image specification and
of Docker's schema 2, which differ in the names of their types alone. Pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import re
import typing as t

from ...errors import Refused
from .source import Config

TRANSPORTS = ("docker://", "oci:", "oci-archive:", "docker-archive:")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_PLATFORM = re.compile(r"([a-z0-9]+)/([a-z0-9_]+)(?:/([a-z0-9.]+))?\Z")
# uname(2) names machines otherwise than images do.
_MACHINES = {
    "x86_64": "amd64",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "loongarch64": "loong64",
    "mips64": "mips64le",
}


class Platform(t.NamedTuple):
    """What an image is for, as in linux/arm64/v8."""

    system: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(word for word in self if word)


def platform_of(text: str) -> Platform:
    """The platform that the option names. Raises Refused."""
    match = _PLATFORM.match(text)
    if match is None:
        raise Refused(f"platform must be as in linux/arm64/v8, not {text!r}")
    return Platform(match.group(1), match.group(2), match.group(3) or "")


def platform_here(machine: str) -> Platform:
    """The platform of a host with this machine, as uname(2) tells it."""
    return Platform("linux", _MACHINES.get(machine, machine))


def checked(image: str) -> str:
    """The name of an image when it can be one. Raises Refused."""
    for transport in TRANSPORTS:
        rest = image[len(transport) :]
        if image.startswith(transport) and rest:
            if transport == "docker://" or rest.startswith("/"):
                return image
            raise Refused(
                f"{transport} needs an absolute path on the managed host, not {rest!r}",
                "Copy what it names there first.",
            )
    raise Refused(
        f"{image!r} is not the name of an image",
        f"It starts with one of: {', '.join(TRANSPORTS)}",
    )


def pinned_by_name(image: str) -> str:
    """The digest in the name of an image in a registry, or ""."""
    _name, _at, digest = image.partition("@")
    return digest if image.startswith("docker://") else ""


def with_digest(image: str, digest: str) -> str:
    """The name of that very manifest in the same repository; of other transports the image's."""
    if not image.startswith("docker://"):
        return image
    name = image.partition("@")[0]
    above, slash, last = name.rpartition("/")
    return f"{above}{slash}{last.partition(':')[0]}@{digest}"


def file_of(image: str) -> str:
    """The path of the archive file that the image is in, or "" where it is in none."""
    transport, _colon, rest = image.partition(":")
    return rest.partition(":")[0] if transport.endswith("-archive") else ""


def chosen(manifest: bytes, platform: Platform, *, image: str) -> str:
    """The digest of the platform's manifest where this one is an index of such; else "".

    Raises Refused where it has none for the platform.
    """
    content = _parsed(manifest, image)
    if "manifests" not in content or content.get("mediaType", _INDEXES[0]) not in _INDEXES:
        return ""
    offered = []
    for each in content["manifests"]:
        found = each.get("platform", {})
        offer = Platform(
            found.get("os", ""), found.get("architecture", ""), found.get("variant", "")
        )
        if offer[:2] == platform[:2] and platform.variant in ("", offer.variant):
            return str(each["digest"])
        offered.append(str(offer))
    raise Refused(
        f"the image {image} has nothing for {platform}",
        f"It is there for: {', '.join(sorted(set(offered))) or 'nothing'}.",
    )


def _parsed(text: bytes, image: str) -> dict[str, t.Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Refused(f"the manifest of {image} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise Refused(f"the manifest of {image} is damaged: it is no object")
    return content


def config_of(text: bytes, *, image: str) -> Config:
    """What the configuration of an image says of how to run it.

    Only these fields are taken over. Raises Refused where one is not what it should be.
    """
    said = _parsed(text, image).get("config") or {}
    try:
        entrypoint, cmd = _words(said, "Entrypoint"), _words(said, "Cmd")
        user, _colon, group = str(said.get("User") or "").partition(":")
        variables = [word.partition("=") for word in _words(said, "Env")]
        return {
            "argv": entrypoint + cmd,
            "entrypoint": entrypoint,
            "cmd": cmd,
            "environment": {name: value for name, _equals, value in variables},
            "user": user,
            "group": group,
            "chdir": str(said.get("WorkingDir") or "/"),
            "stop_signal": str(said.get("StopSignal") or "").replace("SIG", "", 1),
            "ports": sorted(said.get("ExposedPorts") or ()),
            "volumes": sorted(said.get("Volumes") or ()),
        }
    except (AttributeError, TypeError) as error:
        raise Refused(f"the configuration of {image} is damaged: {error}") from error


def _words(said: dict[str, t.Any], key: str) -> list[str]:
    words = said.get(key) or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{key} is no list of words")
    return words
