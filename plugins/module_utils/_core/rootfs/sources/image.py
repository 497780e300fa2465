# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""An image as the source of a root file system: fetched by skopeo(1), unpacked by umoci(1).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import hashlib
import os
import tempfile
import typing as t

from ...definition.data import shortened
from ...errors import KernelError, Refused
from ...mount import make_path
from ...storage import modes
from ...syscalls import regular_files
from .. import digests, run_tool, workspace
from ..progress import Progress
from ..tar import decompress, reader
from ..tar.byte_stream import ByteStream
from . import cache, explain_layer, held, kept, layout, manifest, reference
from .source import Config, Content, Options

_LAYOUT = "image"
_TAG = "root"
# For what skopeo answers with, a document, in seconds. It may have to unpack an archive for it.
_PATIENCE = 600.0
# Of what umoci says, for the layer that it is at.
_LINES_READ = 10_000
# With the null character at its end (include/uapi/linux/limits.h).
_PATH_MAX = 4096
# What a layer may have put where the working directory is to be.
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


@dataclasses.dataclass(frozen=True)
class Image:
    """An image: see the options of ns_rootfs that are about it."""

    verb: t.ClassVar[str] = "unpack"
    is_followed: t.ClassVar[bool] = False

    name: str
    # Empty for that of the host.
    platform: str = ""
    # Empty for that of skopeo.
    authfile: str = ""
    tls_verify: bool = True
    # How much its layers may unpack to, in bytes; 0 for any amount.
    size_limit: int = 0

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of_options(cls, options: Options) -> Image:
        """See Source."""
        return cls(
            options["image"],
            platform=options["platform"] or "",
            authfile=options["authfile"] or "",
            tls_verify=options["tls_verify"],
            size_limit=options["size_limit"],
        ).checked()

    def recorded(self, digest: str) -> dict[str, str]:
        """See Source."""
        return {"archive": cache.path_of(digest)}

    def checked(self) -> Image:
        """This image when its options make sense. Raises Refused."""
        reference.checked(self.name)
        if self.platform:
            reference.platform_of(self.platform)
        return self

    @contextlib.contextmanager
    def opened(self, *, may_be_missing: bool) -> t.Iterator[OpenedImage]:
        """See Source."""
        file = reference.file_of(self.name)
        if may_be_missing and (
            not run_tool.is_there("skopeo") or (file and not os.path.exists(file))
        ):
            yield OpenedImage(self, contextlib.ExitStack(), missing=True)
            return
        run_tool.needed("skopeo", for_what="image")
        run_tool.needed("umoci", for_what="image")
        with contextlib.ExitStack() as stack:
            yield OpenedImage(self, stack, missing=False)


class OpenedImage:
    """An image; for a target that sees no path of the host's it is kept as an archive."""

    def __init__(self, image: Image, stack: contextlib.ExitStack, *, missing: bool) -> None:
        """``stack`` ends with it. ``missing``: an earlier task of the play would have fetched it, or
        installed skopeo.
        """
        self._image = image
        self._stack = stack
        self._platform = (
            reference.platform_of(image.platform)
            if image.platform
            else reference.platform_here(os.uname().machine)
        )
        # Each is empty until it was asked for.
        self._digest = ""
        self._aliases: list[str] = []
        self._config: Config = {}
        # Of what is made of it.
        self._warnings: list[str] = []
        # The image by the name that skopeo is given.
        self._readable = image.name
        # What else is where it is.
        self._held = held.Held()
        self.missing = missing
        self.facts: dict[str, t.Any] = {"source": image.name, "platform": str(self._platform)}
        file = reference.file_of(image.name)
        # A name with a digest means the same for ever; a file is known by its stamp.
        self.facts_suffice = bool(reference.pinned_by_name(image.name) or file)
        if file and not missing:
            with layout.opened_file(file) as fd:
                self.facts.update(digests.stamp(fd))

    def digest(self) -> str:
        """See Opened. Of a registry, only the manifest is asked for."""
        if not self._digest:
            self._check()
            raw = self._ask("inspect", "--raw", self._readable)
            whole = f"sha256:{hashlib.sha256(raw).hexdigest()}"
            mine = manifest.chosen(raw, self._platform, image=self._image.name)
            self._digest = mine or whole
            self._aliases = [whole] if mine else []
        return self._digest

    def aliases(self) -> list[str]:
        """See Opened: the digest of the index, by which a registry names images."""
        return self._aliases

    def config(self) -> Config:
        """See Opened."""
        if not self._config:
            raw = self._ask("inspect", "--config", "--raw", self._exactly)
            self._config = manifest.config_of(
                raw, image=self._image.name, warn=self._warnings.append
            )
        return self._config

    def _check(self) -> None:
        """Raises Refused where the files of the image are not what skopeo can be given to read."""
        name = self._image.name
        file, directory = reference.file_of(name), reference.layout_of(name)
        if file:
            with layout.opened_file(file) as fd:
                self._held = self._look_into(fd)
        elif directory:
            self._held = layout.check_directory(directory, image=name)

    def _look_into(self, fd: int) -> held.Held:
        """The images in the open archive, after which skopeo can be given it."""
        name, limit = self._image.name, self._image.size_limit
        # skopeo reads what docker has written by its places, and fails for some that are compressed.
        if not name.startswith("docker-archive:") or not decompress.is_compressed(fd):
            return layout.check_archive(fd, image=name, limit=limit)
        scratch = self._stack.enter_context(workspace.scratch(_scratch_above()))
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        copy = os.open(f"{scratch}/image.tar", flags, 0o600)
        try:
            found = layout.check_archive(fd, image=name, limit=limit, copy_to=copy)
        finally:
            os.close(copy)
        self._readable = reference.with_file(name, f"{scratch}/image.tar")
        return found

    @property
    def _exactly(self) -> str:
        """The image that was looked at, also when its tag has been moved since."""
        digest = self.digest()
        return reference.with_digest(self._readable, digest)

    @contextlib.contextmanager
    def content(self, *, on_host: bool, patience: float, progress: Progress) -> t.Iterator[Content]:
        """See Opened."""
        if on_host:
            yield Content(
                name=self._image.name,
                make=lambda work: self._unpack(work, progress),
                digest=self.digest,
                warnings=self._warnings,
            )
            return
        with kept.content(
            self.digest(),
            patience=patience,
            make=lambda work, path: self._pack(work, path, progress),
            until=self._stack,
        ) as content:
            yield content._replace(warnings=self._warnings)

    def _words(self, command: str) -> list[str]:
        """skopeo's words for how to get at the image."""
        image, source = self._image, "src-" if command == "copy" else ""
        words = [f"--override-os={self._platform.system}"]
        words.append(f"--override-arch={self._platform.architecture}")
        if self._platform.variant:
            words.append(f"--override-variant={self._platform.variant}")
        words.append(command)
        if reference.is_in_registry(image.name):
            words.append(f"--{source}tls-verify={'true' if image.tls_verify else 'false'}")
        if image.authfile:
            words.append(f"--{source}authfile={image.authfile}")
        return words

    def _ask(self, command: str, *words: str) -> bytes:
        with workspace.scratch(_scratch_above()) as scratch:
            argv = ["skopeo", f"--tmpdir={scratch}", *self._words(command), *words]
            try:
                return run_tool.answer(
                    argv,
                    limit=manifest.SIZE_LIMIT,
                    seconds=_PATIENCE,
                    network=reference.is_in_registry(self._image.name),
                )
            except run_tool.Failed as error:
                raise self._failed("read", error.lines) from error

    def _failed(self, what: str, lines: t.Sequence[str]) -> Refused:
        name = self._image.name
        lines = [line.replace(self._readable, name) for line in lines]
        reason = _reason(lines)
        return Refused(
            f"the image {name} cannot be {what}: {reason}", self._hint(reason), output=lines
        )

    def _hint(self, reason: str) -> str:
        """What to do about skopeo's or umoci's reason."""
        name = self._image.name
        if "no space left on device" in reason:
            return f"Make room where the root is made, and in {_scratch_above()}."
        if "rejected by policy" in reason:
            return (
                "Change the host's policy for images, containers-policy.json(5), if that is meant."
            )
        if reference.is_in_registry(name):
            return "Look at its name, authfile, tls_verify and the proxy of the task's environment."
        return self._held.hint(name) or "Make or fetch it again, or do not trust it."

    def _unpack(self, work: str, progress: Progress) -> None:
        """Fetch the image into the workspace and unpack it there."""
        image, fetched = self._image.name, f"{work}/{_LAYOUT}"
        # Layers that are compressed in another way, or not, are no layers to umoci.
        words = ["--dest-compress-format=gzip", "--dest-compress-level=1"]
        words += [self._exactly, f"oci:{fetched}:{_TAG}"]
        try:
            run_tool.run(
                ["skopeo", f"--tmpdir={work}", *self._words("copy"), *words],
                writable=[work],
                scratch=work,
                progress=progress,
                network=reference.is_in_registry(image),
            )
        except run_tool.Failed as error:
            raise self._failed("fetched", error.lines) from error
        described, config = layout.documents(fetched, image=image)
        known = manifest.check_layers(described, config, image=image)
        paths = tuple(layout.blob_path(fetched, layer) for layer in described.layers)
        layers = explain_layer.Layers(image, described.layers, known, paths)
        self._check_size(paths)
        # Of a root that no layer has an entry for (as of most images), as umoci and others make it.
        # Until all of it is there the workspace keeps everybody out.
        os.chmod(f"{work}/root", 0o755)
        self._unpack_layers(f"{fetched}:{_TAG}", layers, work, progress)
        self._make_directories(f"{work}/root")

    def _unpack_layers(
        self, fetched: str, layers: explain_layer.Layers, work: str, progress: Progress
    ) -> None:
        said: collections.deque[str] = collections.deque(maxlen=_LINES_READ)

        def listen(line: str) -> None:
            said.append(line.removeprefix("umoci: "))
            progress(line)

        # By --verbose it says which layer it is at.
        command = ["umoci", "--verbose", "raw", "unpack", f"--image={fetched}", f"{work}/root"]
        try:
            run_tool.run(command, writable=[work], scratch=work, progress=listen)
        except run_tool.Failed as error:
            reason, hint = explain_layer.explain(layers, said)
            if not reason:
                raise self._failed("unpacked", error.lines) from error
            raise Refused(
                f"the image {layers.image} cannot be unpacked: {reason}", hint, output=error.lines
            ) from error
        warning = explain_layer.check_attributes(layers, said)
        self._warnings += [warning] if warning else []

    def _make_directories(self, root: str) -> None:
        """Those that the configuration names and no layer has, as docker and runc do it: of root's.

        Programs start in one, and volumes are mounted on others. Raises KernelError where there is no
        room for them.
        """
        config = self.config()
        self._make_directory(root, config["chdir"], "WorkingDir")
        for path in config["volumes"]:
            self._make_directory(root, path, "volume")

    def _make_directory(self, root: str, path: str, what: str) -> None:
        fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if len(path.encode()) >= _PATH_MAX:
                # Step by step it could be made, and nobody could name it.
                raise KernelError("mkdirat", errno.ENAMETOOLONG, {"path": shortened(path)})
            make_path.directories(fd, path)
        except KernelError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            why = os.strerror(error.errno)
            self._warnings.append(
                f"the {what} {shortened(path)} of {self._image.name} cannot be made: {why}"
            )
        finally:
            os.close(fd)

    def _check_size(self, layers: t.Iterable[str]) -> None:
        limit = self._image.size_limit
        for path in layers if limit else ():
            with contextlib.ExitStack() as stack:
                fd = regular_files.open_regular(path)
                stack.callback(os.close, fd)
                layer_content = stack.enter_context(decompress.opened(fd, name=self._image.name))
                counted = ByteStream(layer_content.fd, name=self._image.name, limit=limit)
                holes = self._check_holes(counted)
                counted.drain()
                limit = max(1, limit - counted.position - holes)

    def _check_holes(self, layer: ByteStream) -> int:
        """How many bytes of the layer's files are holes, which umoci writes like all others."""
        entries, holes = reader.Reader(layer, name=self._image.name, needs_end=False), 0
        while (entry := entries.next()) is not None:
            if entry.pieces is not None:
                holes += entry.size - entry.stored
                layer.check_limit(holes)
        return holes

    def _pack(self, work: str, path: str, progress: Progress) -> None:
        """Unpack the image in the workspace, and pack what came out as one tar archive."""
        with modes.exact():
            os.mkdir(f"{work}/root", 0o700)
        self._unpack(work, progress)
        command = ["tar", "--create", "--file", path, "--directory", f"{work}/root"]
        command += ["--format=pax", "--numeric-owner", "--sparse", "--xattrs"]
        try:
            run_tool.run([*command, "--xattrs-include=*", "."], writable=[work], scratch=work)
        except run_tool.Failed as error:
            raise self._failed("packed", error.lines) from error


def _scratch_above() -> str:
    """Where what may be large is put for a while, as skopeo itself does."""
    return "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()


def _reason(lines: t.Sequence[str]) -> str:
    """What skopeo and umoci give as their reason: the msg of the last line, or all of it."""
    text = lines[-1] if lines else "it ended early"
    # What follows a panic are the places in their sources.
    text = next((line for line in lines if line.startswith("panic: ")), text)
    if 'msg="' in text:
        text = text.partition('msg="')[2].removesuffix('"').replace('\\"', "'")
    return text.lstrip("\N{VECTOR OR CROSS PRODUCT} ")
