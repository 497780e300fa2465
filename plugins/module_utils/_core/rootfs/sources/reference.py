# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The names of images (containers-transports(5)), and of what they are for. Pure.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ... import redact
from ...errors import Refused
from .. import digests

TRANSPORTS = ("docker://", "oci:", "oci-archive:", "docker-archive:")
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


def shown(image: str) -> str:
    """The name of an image as it may be known: somebody may have put a password before the host."""
    before, _slash, _rest = image.partition("//")[2].partition("/")
    # registry:5000/name@sha256:... has its @ behind the host, name:tag@sha256:... has no host.
    is_host = "@" in before and not digests.is_digest(before.rpartition("@")[2])
    return redact.address(image) if is_host else image


def checked(image: str) -> str:
    """The name of an image when it can be one. Raises Refused."""
    if shown(image) != image:
        raise Refused(
            f"{shown(image)} is not the name of an image: it holds a password",
            "Name the file of skopeo that has it: authfile.",
        )
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
    return digest if is_in_registry(image) else ""


def with_digest(image: str, digest: str) -> str:
    """The name of that very manifest in the same repository; of other transports the image's."""
    if not is_in_registry(image):
        return image
    name = image.partition("@")[0]
    above, slash, last = name.rpartition("/")
    return f"{above}{slash}{last.partition(':')[0]}@{digest}"


def file_of(image: str) -> str:
    """The path of the archive file that the image is in, or "" where it is in none."""
    transport, _colon, rest = image.partition(":")
    return rest.partition(":")[0] if transport.endswith("-archive") else ""


def path_of(image: str) -> str:
    """The transport and the path of an image that is in files of the host."""
    transport, _colon, rest = image.partition(":")
    return f"{transport}:{rest.partition(':')[0]}"


def inner_name(image: str) -> str:
    """Which of the images there it is, or "" where its name does not say."""
    return image[len(path_of(image)) + 1 :]


def with_file(image: str, file: str) -> str:
    """The same image in another archive file."""
    transport, _colon, _rest = image.partition(":")
    name = inner_name(image)
    return f"{transport}:{file}:{name}" if name else f"{transport}:{file}"


def layout_of(image: str) -> str:
    """The path of the directory that the image is in, or "" where it is in none."""
    transport, _colon, rest = image.partition(":")
    return rest.partition(":")[0] if transport == "oci" else ""


def is_in_registry(image: str) -> bool:
    """Whether it takes a network to get the image: all others are in files of the host."""
    return image.startswith("docker://")
