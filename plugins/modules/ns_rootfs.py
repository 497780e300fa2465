#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_rootfs
short_description: Unpack a root file system, on the host or inside a namespace
version_added: 0.1.0
description:
  - Makes a directory the root file system of something else, from an archive such as C(docker export) writes, from an
    image of a registry, as a Debian bootstrap, or as a copy of a directory.
  - Every root carries the digest of what it came from. The same digest again changes nothing.
  - A root is built beside its path and renamed into place. When that fails or is killed, the old root stays as it was,
    and the next run removes what was left beside.
  - A root that something uses is never changed. The new one takes the name, and the old one is removed by a later run,
    when nothing uses it any more.
  - Nothing in an archive can write outside of the new root, whatever its names and links say. Names with V(..),
    absolute names and hard links to the outside are refused. Links, however, are kept as they are, and names that lead
    through them end inside the new root.
  - Owners (by number), modes, extended attributes with file capabilities, hard links, holes, device nodes and times are
    kept.
  - Without a target it acts on the host.
options:
  path:
    description:
      - The absolute path of the root, as seen inside the target. Missing directories above it are made, on the host the
        last of them so that only root can enter it, see O(reachable).
      - It may be a mount point, such as a tmpfs inside of a namespace. The root is then built in a hidden directory on
        it, which needs as much room again when one root replaces another.
    type: str
    required: true
  archive:
    description:
      - The path of a tar archive on the managed host, not compressed or with gzip, xz, zstd or bzip2.
      - It holds a root file system, as C(docker export) writes it. What C(docker save) writes is an O(image).
      - Exactly one of O(archive), O(image), O(bootstrap) and O(directory) is given, unless O(state=absent).
    type: path
  image:
    description:
      - The name of an image, V(docker://registry/name:tag), V(oci:DIRECTORY:tag), V(oci-archive:FILE:tag) or
        V(docker-archive:FILE:name:tag). Paths are absolute and on the managed host.
      - What C(docker save) writes, compressed or not, is a C(docker-archive:). Where a file or directory holds several
        images, the name says which one, or its number as in V(docker-archive:FILE:@0).
      - It is fetched with C(skopeo) and unpacked with C(umoci). A proxy is taken from the environment of the task.
      - Each run asks a registry for the manifest, and for nothing else when the root is of that manifest already. A tag
        that was moved is a change. Nothing is asked when O(digest) or the name itself has the digest of the root.
      - What the image says of how to run it is returned in RV(config). Nothing of it is done by this module.
      - Inside a target, the archive that it is unpacked from is kept in V(/var/cache/linux-namespaces).
    type: str
  platform:
    description:
      - Which one is taken of an O(image) that is there for several platforms, as in V(linux/arm64/v8).
      - By default that of the managed host.
    type: str
  authfile:
    description:
      - The path of the file with the credentials for the registry of an O(image), as C(skopeo login) writes it.
      - By default that of C(skopeo).
    type: path
  tls_verify:
    description:
      - Whether the registry of an O(image) must have a valid certificate. Without it plain HTTP is spoken too.
    type: bool
    default: true
  directory:
    description:
      - The path of a directory on the managed host that is copied, without what is mounted below it.
      - Its digest is that of the listing below it. A file is taken to be changed when its size or time is.
      - Each run of a task follows what is in the directory then. A root that is recorded in the definition of a named
        namespace is copied as the directory is when the namespace comes up, and then stays until a task is run.
    type: path
  bootstrap:
    description:
      - Makes a Debian root file system with C(mmdebstrap), which must be installed on the managed host.
      - The digest is that of these options. Newer packages of the same suite are no change.
      - Inside a target, the archive that it is unpacked from is kept in V(/var/cache/linux-namespaces).
    type: dict
    suboptions:
      suite:
        description: The release, such as V(bookworm) or V(stable).
        type: str
        required: true
      packages:
        description: What to install beside what O(bootstrap.variant) brings.
        type: list
        elements: str
        default: []
      mirror:
        description: The address of a mirror, without a password. By default that of C(mmdebstrap).
        type: str
      variant:
        description: Which packages there are at least, in the words of C(mmdebstrap).
        type: str
        default: minbase
      components:
        description: The components of the archive. By default V(main).
        type: list
        elements: str
        default: []
  digest:
    description:
      - The digest that the source must have, V(sha256:) and 64 digits. For an archive it is that of the file, for an
        image that of its manifest, or of the index that leads to the manifest.
      - Another one is refused before anything is unpacked.
      - For a O(directory) it also says that the directory has to be the same when a named namespace comes up again.
        Otherwise that may have changed by then. What comes from another source has to be the same in any case.
    type: str
  state:
    description:
      - V(present) is the root from the given source.
      - V(absent) is no root at O(path). It is refused while the root is in use.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Replaces, or with O(state=absent) removes, also a directory that was not made by this module.
      - With O(state=absent) a root in use loses its name, and is removed by a later run when nothing uses it any more.
      - What is mounted below the path is never touched.
    type: bool
    default: false
  reachable:
    description:
      - Whether users of the host other than root may reach the root. They could run its setuid programs, as root if
        those are root's, and open its device nodes.
      - Without it the directory that the root lies in is made so that only root can enter it. One that is there is
        closed to others where root has it for this root alone, which is when there is nothing else in it but empty
        directories. Any other path that others reach is refused, also where the root is there already, or is
        mounted on the host without C(nosuid).
      - One directory above that only root can enter is enough, as is a mount that the host does not have. The option
        has no meaning where nothing can belong to root of the host, as in most user namespaces.
      - It is for a root that programs of other users are to use where it lies, without a pivot.
    type: bool
    default: false
  size_limit:
    description:
      - How much an archive, or the layers of an image, may hold once they are decompressed, such as V(2G). More is
        refused. An archive that an image is in is measured by itself, too, before it is unpacked. Holes in the files
        of layers count as what they are read as.
      - By default only the free space limits it.
    type: str
  id_map:
    description:
      - Shifts the owners for a user namespace with this map, so that they are right inside. In the form of the same
        option of M(linux.namespaces.ns_namespace).
      - An owner that the map does not have is refused.
      - Only for a root on the host. Inside a target the kernel shifts, and with C(X-mount.idmap) of
        M(linux.namespaces.ns_mount) a mount does.
    type: raw
  device_nodes:
    description:
      - What to do with device nodes. V(keep) makes them, and is refused where that is not allowed, as
        inside of a user namespace. V(skip) leaves them out.
    type: str
    choices: [keep, skip]
    default: keep
  persistent:
    description:
      - Whether the root is recorded in the definition of the named namespace, from which it is unpacked again after a
        reboot. By default it is, when the namespace is persistent.
      - The archive or directory must still be there then. While the root is there, C(nsctl up) and C(nsctl show) take
        it as it is, and do not look at what it came from.
      - A target without a name has no definition. A root on the host needs none.
    type: bool
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
  - linux.namespaces._target
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - Linux 5.10 or newer
  - mmdebstrap for O(bootstrap), skopeo and umoci for O(image), zstd for archives compressed with it
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_mount
  - module: linux.namespaces.ns_pivot_root
"""

EXAMPLES = r"""
---
- name: Make a Debian root file system with nginx
  linux.namespaces.ns_rootfs:
    path: /srv/web/rootfs
    bootstrap:
      suite: bookworm
      packages: [nginx]

- name: Unpack what docker export has written
  linux.namespaces.ns_rootfs:
    path: /srv/web/rootfs
    archive: /srv/images/nginx.tar.gz
    digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    size_limit: 2G

- name: Unpack an image of a registry
  linux.namespaces.ns_rootfs:
    path: /srv/web/rootfs
    image: docker://docker.io/library/nginx:stable
  register: web_root

- name: Unpack it on a tmpfs that only exists inside the namespace web
  linux.namespaces.ns_rootfs:
    namespace: web
    path: /srv/new-root
    archive: /srv/images/nginx.tar

- name: Remove it
  linux.namespaces.ns_rootfs:
    path: /srv/web/rootfs
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, step by step.
  returned: success
  type: list
  elements: str
  sample: ["unpack /srv/images/nginx.tar.gz to /srv/web/rootfs"]
digest:
  description:
    - The digest of the source. In check mode it is empty where the archive has not been read.
  returned: success
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
config:
  description:
    - What an image says of how to run it. Empty for other sources.
    - RV(config.argv), RV(config.environment), RV(config.user), RV(config.group), RV(config.chdir) and
      RV(config.stop_signal) are in the form of the options of M(linux.namespaces.ns_service). They are empty where the
      image says nothing.
    - All of it is text that a stranger has written. Paths have no V(..) in them.
  returned: success
  type: dict
  contains:
    argv:
      description: The program and its arguments, RV(config.entrypoint) and RV(config.cmd).
      type: list
      elements: str
      sample: [nginx, "-g", "daemon off;"]
    entrypoint:
      description: The words that come first.
      type: list
      elements: str
      sample: [nginx]
    cmd:
      description: The words that are replaced when the image is run with other words.
      type: list
      elements: str
      sample: ["-g", "daemon off;"]
    environment:
      description: The environment.
      type: dict
      sample: {PATH: "/usr/sbin:/usr/bin"}
    user:
      description: The user, by name or number.
      type: str
      sample: www-data
    group:
      description: The group, by name or number.
      type: str
      sample: ""
    chdir:
      description:
        - The working directory. Where no layer of the image has it, it is made in the root, and belongs to root.
      type: str
      sample: /
    stop_signal:
      description: The signal that ends it, without C(SIG). Empty where what the image says is not a signal.
      type: str
      sample: RTMIN+3
    ports:
      description: The ports that it listens on.
      type: list
      elements: str
      sample: [80/tcp]
    volumes:
      description: The directories that are meant to outlive it.
      type: list
      elements: str
      sample: []
    labels:
      description: The labels.
      type: dict
      sample: {org.opencontainers.image.version: "1.25"}
    healthcheck:
      description:
        - How it is found to be well. Empty where the image does not say. Nothing runs it by itself.
      type: dict
      contains:
        argv:
          description: A program that ends with V(0) where it is, and its arguments.
          type: list
          elements: str
          sample: [/bin/sh, "-c", curl --fail http://localhost/]
        interval:
          description: The time between two of its runs, in seconds. V(0) where the image does not say.
          type: float
          sample: 30.0
        timeout:
          description: How long it may take, in seconds.
          type: float
          sample: 3.0
        start_period:
          description: How long failures do not count after the start, in seconds.
          type: float
          sample: 0.0
        start_interval:
          description: The time between two of its runs until then, in seconds.
          type: float
          sample: 0.0
        retries:
          description: How many failures in a row mean that it is not well.
          type: int
          sample: 3
path:
  description: The path of the root.
  returned: success
  type: str
  sample: /srv/web/rootfs
source:
  description: What the root comes from. Empty with O(state=absent).
  returned: success
  type: str
  sample: /srv/images/nginx.tar.gz
persistent:
  description: Whether the root is recorded in the definition of a named namespace.
  returned: success
  type: bool
  sample: false
recreate:
  description: That the root can only be replaced with its namespace, since that has it for its own root.
  returned: when it is not replaced because of that
  type: bool
  sample: true
progress:
  description: What a long run with C(-v) wrote to the system's log meanwhile.
  returned: success
  type: list
  elements: str
  sample: ["unpacked 32 MB, 1204 entries"]
"""

from ansible_collections.linux.namespaces.plugins.module_utils import _module, _rootfs
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import rootfs
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    rootfs as options,
)


def main() -> None:
    module = _module.Module(
        masks=_rootfs.MASKS,
        argument_spec={**options.OPTIONS, **_module.TARGET_OPTIONS},
        mutually_exclusive=[*_module.TARGET_EXCLUSIVE, options.SOURCES],
        required_if=[("state", "present", options.SOURCES, True)],
        supports_check_mode=True,
    )
    # What lies at the same path on the host is none of the result's business.
    module.add_path_info = lambda result: result
    said: list[str] = []

    def progress(text: str) -> None:
        if module._verbosity >= 1:
            said.append(text)
            module.log(text)

    with _module.failures_reported(module):
        target = _module.target_of(module.params)
        request = options.request_of(module.params, target, lock_timeout=_module.LOCK_TIMEOUT)
        result = rootfs.run(request, check=module.check_mode, progress=progress)
        for warning in result.warnings:
            module.warn(warning)
        module.exit_json(
            changed=bool(result.actions),
            actions=result.actions,
            digest=result.digest,
            config=result.config,
            path=request.path,
            source=str(request.source or ""),
            persistent=result.persistent,
            **_module.diff_of(
                module,
                {request.path: result.before},
                {request.path: result.after},
                result.actions,
            ),
            progress=said,
        )


if __name__ == "__main__":
    main()
