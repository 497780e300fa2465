#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_mount
short_description: Mount, remount and unmount inside a namespace
version_added: 0.1.0
description:
  - Mounts file systems and binds inside the mount namespace of a target, changes what is mounted there, and unmounts
    it.
  - What is there is compared with what is wanted, and only what differs is changed. A mount is never stacked on another
    one silently.
  - A new mount is built out of sight, set up, and then moved into place. A mount that has to be replaced is replaced
    without a moment in which its path is empty, where the kernel can do that (Linux 6.5 and newer). On an older kernel,
    and where several mounts are stacked on the path, what lies beneath is seen for a moment.
  - What is mounted below a mount that is replaced goes with it, and what O(mounts) has below is mounted in the new one.
    Who has a file open or works in a directory there goes on with the old one.
  - Another process may mount and unmount at the same places meanwhile. What it has changed is looked at again, for up
    to 10 seconds a step.
  - Without a target it acts on the host's own mount namespace.
  - Why a mount failed is looked for and told, with what to do about it. What C(blkid) of util-linux finds on the device
    or image counts, who has the device, and what the kernel writes to its log meanwhile. The log is left out where
    C(/dev/kmsg) may not be read.
options:
  path:
    description:
      - The absolute path of the mount point, as seen inside the target.
      - It is resolved inside the target's root. Links in it lead to places inside that root, never out of it.
      - Below the C(new_root) of a M(linux.namespaces.ns_pivot_root) a path names the same place before and after the
        pivot, and links below a mount that the namespace's definition made lead where they will lead after it.
      - Required unless O(mounts) is given.
    type: str
  src:
    description:
      - What is mounted, such as a device, the source of a bind, or any word for file systems without a source.
      - A device may be named by what is on it, with V(UUID=), V(LABEL=), V(PARTUUID=), V(PARTLABEL=) or V(ID=), and
        quotes around the value or none. It is looked for at each run, and whenever the namespace comes up, by the links
        in V(/dev/disk), where udev makes such and they lead to the right one, and else by C(blkid) of util-linux on all
        devices that are not removable. Where several devices have it, as a disk and its copy, the link of udev tells
        which is meant, and without one the task is refused. V(ID=) takes udev.
    type: str
    default: ""
  fstype:
    description:
      - The type of the file system, as in V(/proc/filesystems). Not for binds, where V(none) and V(auto) mean nothing.
      - With V(auto), and where it is left out, the type of what is on the device or in the image, as C(blkid) of
        util-linux finds it at each run. A list as V(ext4,xfs) or V(noext4,xfs) says which it may or may not be. What is
        no file system, or could be several, is refused with the reason.
    type: str
    default: ""
  opts:
    description:
      - The words of C(mount(8)), as a list or as one string with commas. A value with commas is in double quotes.
      - V(bind) and V(rbind) bind O(src). V(ro), V(nosuid), V(nodev), V(noexec), V(noatime), V(nodiratime),
        V(relatime), V(strictatime), V(nosymfollow) and their opposites are flags of the mount. Flags that are not named
        are compared as well, at their default, which for a bind is what its source has. With V(=recursive) appended
        they hold for the submounts of an V(rbind) too. Of two words about access times the last one counts.
      - V(ro) is for the mount and for its file system, which others may see as well; V(ro=vfs) is for the mount alone,
        V(ro=fs) for the file system alone. So are the forms of V(rw). V(ro=fs) is refused for a file system that others
        have mounted as well, as V(sysfs).
      - V(user), V(users), V(owner) and V(group) imply V(nosuid), V(nodev) and the first two V(noexec), as for
        C(mount(8)); who may mount is not asked. V(defaults), V(auto), V(nouser), V(nousers), V(noowner), V(nogroup),
        V(_netdev), V(comment=), V(user=NAME), V(helper=), V(uhelper=), V(silent), V(loud), V(iversion),
        V(noiversion), V(x-systemd.*) and whatever else starts with V(x-) or V(X-) change nothing about a mount, here
        as there. At boot a named namespace waits for the host's file systems and network by itself.
      - V(nofail) leaves a mount out, with a warning, where its device or the source of its bind does not exist.
        Whatever else goes wrong is an error. The mount is recorded, and made by the next run that finds the source, or
        when the namespace comes up. A namespace without it counts as whole.
      - V(noauto) leaves a mount out whenever a named namespace comes up by itself, as C(mount -a) does. The task that
        names it mounts it.
      - V(X-mount.mkdir), V(X-mount.mkdir=0700) make the mount point when it is missing; for a bind of a file, an empty
        file. V(x-mount.mkdir) is the older spelling of it.
      - V(X-mount.owner=www-data), V(X-mount.group=4) and V(X-mount.mode=0750) are what the root of the mount has, for a
        bind what it shows. They are set after mounting, and again where somebody has changed them.
      - V(X-mount.subdir=path) mounts this directory of a file system in the place of its root. No link leads to it.
      - Users and groups by name, in these two and in V(uid=) and V(gid=) of a file system, are looked up in
        V(/etc/passwd) and V(/etc/group) of the root that O(path) lies in, the target's own or the one that is mounted
        above it, before a pivot into it as well as after; on the host itself among its users and groups. The kernel
        gets the numbers, and an id is one of the target's user namespace. The namespace's definition keeps the names.
      - V(X-mount.auto-fstypes="ext4,xfs") says which types O(fstype=auto) may find, as a list in O(fstype) does.
      - V(loop) shows O(src), an image in a file of the host, through a loop device that ends with the mount. It is
        compared by the file that the device shows. An image that is attached already, by whomever, is shown by the same
        device, so that all who mount it see one file system. Another part of it that overlaps is refused. V(offset=1M)
        and V(sizelimit=64M) are for a part of the image, and imply V(loop). No loop device is made without one of these
        three words, whatever O(src) is, so that V(X-mount.noloop) changes nothing.
      - V(context=), V(fscontext=), V(defcontext=), V(rootcontext=) and V(seclabel) are left out where SELinux is off,
        and those of Smack where that is off, as C(mount(8)) does.
      - V(remount), V(move), the words of O(propagation), V(loop=/dev/loop3), V(encryption=), V(verity.*) and
        V(X-mount.nocanonicalize) are refused, with what to do in place of each.
      - V(X-mount.idmap=u:0:100000:65536 g:0:100000:65536) shows other owners than the file system has. Each range is
        the first id in the file system, the first id as it shows, and how many; V(u) is for users, V(g) for groups,
        neither for both. The path of a user namespace, as V(/proc/4242/ns/user), stands for its maps. It is for what
        has its source on the host, and takes Linux 5.12. The maps are compared where the kernel shows them (Linux 6.15
        and newer, in targets without a user namespace of their own), and else with the namespace's definition; those
        of a path always with the definition.
      - Every other word is an option of the file system. It is compared if it was given; V(10m) and V(10240k) are the
        same. Where the kernel shows another spelling, as V(compress=zstd:3) for V(compress=zstd), or nothing, it is
        noted until the mount is gone what it showed right after it got the words, and that is what they mean. Only root
        can keep such notes.
      - Options that are not given are not compared.
      - Of an option whose name says that it holds a secret, such as V(password), V(secret) or V(key), the value is
        neither logged nor returned, and a diff says only that it changes. It is kept in the namespace's definition,
        from which the mount is made again, and which root alone can read.
    type: list
    elements: str
    default: []
  propagation:
    description:
      - How mount events travel to and from this mount (C(mount_namespaces(7))). The forms with V(r) hold for everything
        mounted below as well.
      - When it is not given it is not compared, and a new mount is what the kernel makes it, shared on a mount that is
        shared and else private. A bind of the host's is cut off from the host unless it is asked to be a slave or
        shared.
      - A slave of nothing is private and needs no change.
      - What is replaced or unmounted takes nothing away elsewhere, but at the same path of the namespaces that the
        mount beneath is shared with.
    type: str
    choices: [private, slave, shared, unbindable, rprivate, rslave, rshared, runbindable]
  src_in:
    description:
      - Where O(src) of a bind and the directories of an overlay are looked up. A device, an image, and whatever else
        the kernel looks up by itself are always those of the host.
      - V(host) binds something of the host into the target, also when the target has another root. What lies below a
        root that M(linux.namespaces.ns_rootfs) has unpacked is looked up in that root; its links do not lead to the
        host.
      - V(namespace) looks up paths in the root of the target, and below a mount that its definition makes in that.
      - There is a warning where every user of the host can reach the C(upperdir) of an overlay of a namespace, in which
        root inside can leave setuid programs. Have it in a directory that only root can enter.
    type: str
    choices: [host, namespace]
    default: host
  state:
    description:
      - V(mounted) is one mount as described on O(path).
      - V(remounted) changes flags and options of the mount that is there, whatever it is. Its type and source do not
        matter, nor does what lies beneath it. Only the mount itself becomes read-only with V(ro), not a file system
        that others may use too.
      - V(unmounted) is nothing mounted on O(path). What is mounted below it is unmounted first. With the mount the
        namespace's definition forgets what was mounted or unpacked on it later.
    type: str
    choices: [mounted, remounted, unmounted]
    default: mounted
  mounts:
    description:
      - Many mounts in one task, made in this order. Later ones may lie below earlier ones.
      - Mutually exclusive with O(path).
    type: list
    elements: dict
    suboptions:
      path:
        description: See O(path).
        type: str
        required: true
      src:
        description: See O(src).
        type: str
        default: ""
      fstype:
        description: See O(fstype).
        type: str
        default: ""
      opts:
        description: See O(opts).
        type: list
        elements: str
        default: []
      propagation:
        description: See O(propagation).
        type: str
        choices: [private, slave, shared, unbindable, rprivate, rslave, rshared, runbindable]
      src_in:
        description: See O(src_in).
        type: str
        choices: [host, namespace]
        default: host
      state:
        description: See O(state).
        type: str
        choices: [mounted, remounted, unmounted]
        default: mounted
  exclusive_below:
    description:
      - Unmounts what is mounted below this path and was not asked for in the same task. The namespace's definition
        forgets it, with what was mounted or unpacked on it later.
    type: str
  persistent:
    description:
      - Whether the mount is recorded in the definition of the named namespace, from which it is made again after a
        reboot. By default it is, when the namespace is persistent.
      - A target without a name has no definition.
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
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_mount_info
  - module: linux.namespaces.ns_namespace
  - module: linux.namespaces.ns_pivot_root
  - ref: ansible_collections.linux.namespaces.docsite.guide_fstab
    description: What becomes of the fields and words of fstab(5), in a task and at boot.
"""

EXAMPLES = r"""
---
- name: Mount a tmpfs of 10 MB inside the namespace web
  linux.namespaces.ns_mount:
    namespace: web
    path: /mnt
    src: tmpfs
    fstype: tmpfs
    opts: size=10m

- name: Show a directory of the host read-only inside the namespace web
  linux.namespaces.ns_mount:
    namespace: web
    path: /srv
    src: /usr/share
    opts: [bind, ro, nosuid, nodev]

- name: Make many mounts at once, and unmount whatever else is mounted below /mnt
  linux.namespaces.ns_mount:
    namespace: web
    exclusive_below: /mnt
    mounts:
      - path: /mnt
        src: tmpfs
        fstype: tmpfs
      - path: /mnt/proc
        src: proc
        fstype: proc
        opts: nosuid,nodev,noexec,X-mount.mkdir
      - path: /mnt/null
        src: /dev/null
        opts: bind,X-mount.mkdir

- name: Unmount it again
  linux.namespaces.ns_mount:
    namespace: web
    path: /mnt
    state: unmounted

- name: Mount what lines of an /etc/fstab say, but for the root and the swap
  linux.namespaces.ns_mount:
    namespace: web
    mounts: >-
      {{ fstab.splitlines() | reject('match', '\s*(#|$)') | map('split')
      | rejectattr(1, 'in', ['/', 'none']) | rejectattr(2, 'eq', 'swap')
      | map('map', 'replace', '\040', ' ') | map('map', 'replace', '\011', '%c' | format(9))
      | map('map', 'replace', '\012', '%c' | format(10)) | map('map', 'replace', '\134', '%c' | format(92))
      | map('zip', ['src', 'path', 'fstype', 'opts']) | map('items2dict', key_name=1, value_name=0) }}
  vars:
    fstab: |
      # <file system>      <mount point>  <type>  <options>             <dump>  <pass>
      LABEL=web\040data    /srv           auto    noatime,nofail        0       2
      UUID=0a3407de-014b   none           swap    sw                    0       0
      tmpfs                /mnt           tmpfs   size=10m,mode=1777    0       0
      /usr/share           /media         none    bind,ro               0       0
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, step by step.
  returned: success
  type: list
  elements: str
  sample: ["mount tmpfs on /mnt", "record the mount on /mnt"]
mounts:
  description: The mounts at the given paths, as the kernel shows them.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the mount, as in V(/proc/PID/mountinfo).
      type: int
      sample: 412
    parent:
      description: The id of the mount that it is mounted on.
      type: int
      sample: 388
    path:
      description: The mount point, from the root of the target.
      type: str
      sample: /mnt
    src:
      description: What is mounted.
      type: str
      sample: tmpfs
    fstype:
      description: The type of the file system.
      type: str
      sample: tmpfs
    root:
      description: The part of the file system that is mounted.
      type: str
      sample: /
    device:
      description: The device number of the file system.
      type: str
      sample: "0:61"
    opts:
      description: The flags of the mount and the options of the file system.
      type: list
      elements: str
      sample: [rw, relatime, size=10240k]
    propagation:
      description: One of V(private), V(slave), V(shared), V(unbindable), V(shared,slave).
      type: str
      sample: private
persistent:
  description: Whether the mounts are recorded in the definition of a named namespace.
  returned: success
  type: bool
  sample: true
"""

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils import _module, _mounts
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.resolve import (
    checked_absolute,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import mount
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import mount as options


def request_of(params: t.Mapping[str, t.Any]) -> mount.MountRequest:
    listed = params["mounts"] if params["mounts"] is not None else [params]
    if params["mounts"] is None and params["path"] is None:
        raise Refused("give path, or mounts")
    below = params["exclusive_below"]
    return mount.MountRequest(
        target=_module.target_of(params),
        wanted=tuple(options.wanted(each) for each in listed),
        exclusive_below=checked_absolute(below, option="exclusive_below") if below else "",
        persistent=params["persistent"],
        lock_timeout=_module.LOCK_TIMEOUT,
    )


def main() -> None:
    module = _module.Module(
        masks=_mounts.MASKS,
        argument_spec={
            **options.OPTIONS,
            **_module.TARGET_OPTIONS,
            "mounts": options.LIST,
            "exclusive_below": {"type": "str"},
            "persistent": {"type": "bool"},
        },
        mutually_exclusive=[*_module.TARGET_EXCLUSIVE, ("path", "mounts")],
        supports_check_mode=True,
    )
    with _module.failures_reported(module):
        result = mount.run(request_of(module.params), check=module.check_mode)
        for warning in [*result.left_out, *result.warnings]:
            module.warn(warning)
        module.exit_json(
            changed=bool(result.actions),
            actions=result.actions,
            mounts=[_module.shown_mount(mount) for mount in result.mounts],
            persistent=result.persistent,
            **_module.diff_of(module, result.before, result.after, result.actions),
        )


if __name__ == "__main__":
    main()
