# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A service of systemd as a named namespace: the namespaces and mounts of its sandbox, and its program.

Pure: bus.py asks systemd for its properties. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.root import home_of
from ..mount import options
from . import unit_program
from .adopted import Adopted, Options

Properties = t.Mapping[str, t.Any]

# Of a unit: yes to a namespace of this kind.
_KINDS = {"PrivateNetwork": "net", "PrivateIPC": "ipc", "ProtectHostname": "uts"}
_FILTERS = (
    "SystemCallFilter", "SystemCallArchitectures", "RestrictAddressFamilies", "RestrictRealtime",
    "MemoryDenyWriteExecute", "RestrictSUIDSGID", "LockPersonality",
)  # fmt: skip
_DIRECTORIES = (
    "StateDirectory", "RuntimeDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory",
)  # fmt: skip
_CREDENTIALS = (
    "LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted",
)  # fmt: skip
# What has no option here, and why, where somebody sets it.
_LEFT = {
    **dict.fromkeys(("RootImage", "RootHash"), "an image as the root: give it a rootfs"),
    **dict.fromkeys(("MountImages", "ExtensionImages"), "images: mount them"),
    "ExtensionDirectories": "overlays on /usr: mount them",
    "InaccessiblePaths": "nothing hides a path: mount an empty directory on it",
    **dict.fromkeys(("ExecPaths", "NoExecPaths"), "which programs may be executed"),
    **dict.fromkeys((*_FILTERS, "RestrictNamespaces"), "filters of system calls"),
    **dict.fromkeys(("AppArmorProfile", "SELinuxContext", "SmackProcessLabel"), "security modules"),
    "PrivateUsers": "a user namespace: add user to kinds, with an id_map",
    "PrivateDevices": "a /dev of its own: mount one",
    "ProtectKernelTunables": "/proc/sys and /sys that can only be read",
    "ProtectControlGroups": "cgroups that can only be read",
    **dict.fromkeys(("ProtectKernelModules", "ProtectKernelLogs", "ProtectClock"), "capabilities"),
    **dict.fromkeys(("ProtectProc", "ProcSubset"), "a /proc of its own: mount one"),
    "DynamicUser": "a user that is made for it: name one that is there",
    "JoinsNamespaceOf": "namespaces of other units: see share",
    **dict.fromkeys(
        ("NetworkNamespacePath", "IPCNamespacePath"), "a namespace without a name: see share"
    ),
    **dict.fromkeys(("ExecCondition", "ExecStartPre"), "what is run before it"),
    "ExecStartPost": "what is run after its start",
    **dict.fromkeys(("ExecStop", "ExecStopPost"), "what is run at its end"),
    **dict.fromkeys(
        ("EnvironmentFiles", "PassEnvironment", "UnsetEnvironment"),
        "an environment from elsewhere: see environment",
    ),
    **dict.fromkeys(_CREDENTIALS, "see credentials"),
    **dict.fromkeys(_DIRECTORIES, "made for it: have it on the host, and mount it"),
    "UMask": "services have 022",
    **dict.fromkeys(("Nice", "OOMScoreAdjust"), "priorities"),
    **dict.fromkeys(("MemoryMax", "MemoryHigh", "CPUQuotaPerSecUSec"), "limits of cgroups"),
}
_ALL = (1 << 64) - 1
# What they are where nobody sets them; others are empty.
_DEFAULTS = {
    "RestrictNamespaces": _ALL,
    "UMask": 0o022,
    "MemoryMax": _ALL,
    "MemoryHigh": _ALL,
    "CPUQuotaPerSecUSec": _ALL,
    "ProtectProc": "default",
    "ProcSubset": "all",
}
# What systemd mounts on a RootDirectory=: path, source, type and words.
_OF_ROOTS = (
    ("/proc", "proc", "proc", "nosuid,nodev,noexec"),
    ("/dev", "/dev", "", "rbind"),
    ("/sys", "sysfs", "sysfs", "nosuid,nodev,noexec"),
    ("/run", "tmpfs", "tmpfs", "nosuid,nodev,mode=755"),
)
# As systemd has a TemporaryFileSystem= of itself.
_TEMPORARY = ("nodev", "strictatime", "mode=0755")


def of_properties(name: str, unit: str, said: Properties, defaults: Properties) -> Adopted:
    """The unit with these properties, as systemd has them on the bus (org.freedesktop.systemd1(5)).

    ``defaults`` are the properties of the manager itself.
    """
    found = Adopted(name)
    found.kinds |= {kind for word, kind in _KINDS.items() if said.get(word)}
    if said.get("RootDirectory"):
        opts = ["bind", "X-mount.mkdir"]
        found.root = {"path": f"{home_of(name)}/root", "src": said["RootDirectory"], "opts": opts}
    _add_mounts(found, said)
    unit_program.add(found, unit, said, defaults)
    for word, why in _LEFT.items():
        if _is_given(word, said):
            found.leave(f"{word}= of {unit}", why)
    if said.get("ProtectSystem") == "strict":
        found.leave(f"ProtectSystem=strict of {unit}", "all of / read-only: name paths")
    found.settle()
    return found


def _is_given(word: str, said: Properties) -> bool:
    """Whether a property is another than where nobody sets it."""
    value = said.get(word)
    if isinstance(value, list):  # some are a flag and a list
        return any(value)
    return value not in (None, False, 0, "", "no", _DEFAULTS.get(word))


def _add_mounts(found: Adopted, said: Properties) -> None:
    every = [*_binds(said), *_temporary(said), *_read_only(said)]
    if said.get("RootDirectory") and said.get("MountAPIVFS"):
        places = {mount["path"] for mount, _what in every}
        every += [each for each in _of_roots() if each[0]["path"] not in places]
    # As systemd does: what lies above comes first, in whatever order they are given.
    for mount, what in sorted(every, key=lambda each: _parts(each[0]["path"])):
        there = found.mounted_on(mount["path"])
        if there is not None and mount.get("src_in") == "namespace":
            if not {"ro", "ro=recursive"} & {*there["opts"]}:
                there["opts"] = [*there["opts"], "ro"]
        else:
            found.add_mount(mount, what)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _binds(said: Properties) -> t.Iterator[tuple[Options, str]]:
    for word, flags in (("BindPaths", []), ("BindReadOnlyPaths", ["ro"])):
        for src, path, may_be_missing, is_recursive in said.get(word) or ():
            opts = ["rbind" if is_recursive else "bind", *flags, "X-mount.mkdir"]
            opts += ["nofail"] if may_be_missing else []
            yield {"path": path, "src": src, "opts": opts}, f"{word}={path}"


def _temporary(said: Properties) -> t.Iterator[tuple[Options, str]]:
    for path, text in said.get("TemporaryFileSystem") or ():
        words = map(options.quoted, options.split_words(text))
        yield _tmpfs(path, *_TEMPORARY, *words), f"TemporaryFileSystem={path}"
    if _is_given("PrivateTmp", said):
        for path in ("/tmp", "/var/tmp"):
            yield _tmpfs(path, "nosuid", "nodev", "mode=1777"), f"PrivateTmp= on {path}"
    if said.get("ProtectHome") in ("yes", "tmpfs"):
        for path in ("/home", "/root", "/run/user"):
            opts = ("ro", "nosuid", "nodev", "mode=755")
            yield _tmpfs(path, *opts), f"ProtectHome= on {path}"


def _of_roots() -> t.Iterator[tuple[Options, str]]:
    for path, src, fstype, words in _OF_ROOTS:
        mount = {"path": path, "src": src, "opts": [*words.split(","), "X-mount.mkdir"]}
        yield {**mount, **({"fstype": fstype} if fstype else {})}, f"MountAPIVFS= on {path}"


def _tmpfs(path: str, *opts: str) -> Options:
    return {"path": path, "src": "tmpfs", "fstype": "tmpfs", "opts": [*opts, "X-mount.mkdir"]}


def _read_only(said: Properties) -> t.Iterator[tuple[Options, str]]:
    for path in (*_protected(said), *(said.get("ReadOnlyPaths") or ())):
        is_optional = path.lstrip("+").startswith("-")
        path = "/" + "/".join(_parts(path.lstrip("-+")))
        opts = ["rbind", "ro=recursive", *(["nofail"] if is_optional else [])]
        mount = {"path": path, "src": path, "opts": opts, "src_in": "namespace"}
        yield mount, f"{path}, which can only be read"


def _protected(said: Properties) -> list[str]:
    system = said.get("ProtectSystem")
    paths = ["/usr", "-/boot", "-/efi"] if system in ("yes", "full") else []
    paths += ["/etc"] if system == "full" else []
    if said.get("ProtectHome") == "read-only":
        paths += ["/home", "/root", "-/run/user"]
    return paths
