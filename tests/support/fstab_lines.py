# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of fstab(5) as distributions, manuals and users write them, and what becomes of each.

By what they are about. A source that is a device, a tag or an image stands for one that a test makes;
a directory for one in a tree that it makes.
"""

from __future__ import annotations

import re
import typing as t

LINES: dict[str, str] = {
    "tmpfs": r"""
tmpfs          /tmp                tmpfs  defaults                                          0 0
tmpfs          /tmp                tmpfs  rw,nodev,nosuid,size=10%                          0 0
tmpfs          /tmp                tmpfs  defaults,noatime,nosuid,nodev,noexec,mode=1777,size=512M 0 0
tmpfs          /dev/shm            tmpfs  defaults,nosuid,nodev,noexec                      0 0
none           /dev/shm            tmpfs  defaults,size=4g                                  0 0
shm            /dev/shm            tmpfs  nodev,nosuid,noexec                               0 0
tmpfs          /run                tmpfs  nosuid,noexec,mode=755,nodev                      0 0
none           /run                tmpfs  nodev,noexec,nosuid,size=10%,mode=0755            0 0
none           /run/lock           tmpfs  nodev,noexec,nosuid,size=5242880                  0 0
none           /run/user           tmpfs  nodev,noexec,nosuid,size=104857600,mode=0755      0 0
tmpfs          /var/tmp            tmpfs  rw,nosuid,nodev,strictatime,mode=1777,size=50%,nr_inodes=0 0 0
tmpfs          /var/log            tmpfs  defaults,noatime,nosuid,mode=0755,size=100m       0 0
tmpfs          /var/spool/mqueue   tmpfs  defaults,noatime,nosuid,mode=0700,gid=12,size=30m 0 0
tmpfs          /var/lib/php        tmpfs  size=64M,uid=33,gid=33,mode=1733                  0 0
tmpfs          /var/cache/nginx    tmpfs  size=1g,uid=www-data,gid=www-data,mode=0750,noatime 0 0
tmpfs          /home/user/Downloads tmpfs rw,nodev,uid=games,gid=users,size=100m            0 0
tmpfs          /home/user/tmp      tmpfs  noauto,user,exec,size=2G                          0 0
tmpfs          /mnt/ram\040disk    tmpfs  nr_blocks=4096,nr_inodes=1k                       0 0
tmpfs          /mnt/label          tmpfs  size=10m,context="system_u:object_r:tmp_t:s0:c127,c456" 0 0
tmpfs          /mnt/huge           tmpfs  huge=never,size=20M                               0 0
tmpfs          /mnt/numa           tmpfs  mpol=bind:0,size=20M                              0 0
tmpfs          /srv/a              tmpfs  users,noexec,comment=systemd.automount            0 0
tmpfs          /srv/b              tmpfs  owner,group,lazytime,dirsync                      0 0
tmpfs          /srv/c              tmpfs  ro,iversion,silent                                0 0
tmpfs          /srv/d              tmpfs  noatime,relatime                                  0 0
tmpfs          /srv/e              tmpfs  relatime,noatime,norelatime                       0 0
tmpfs          /srv/f              tmpfs  sync,nodiratime,nostrictatime                     0 0
tmpfs          /srv/g              tmpfs  x-systemd.automount,x-systemd.idle-timeout=1min,nofail,_netdev 0 0
tmpfs          /srv/h              tmpfs  ro=vfs                                            0 0
tmpfs          /srv/i              tmpfs  ro=fs                                             0 0
tmpfs          /srv/j              tmpfs  user=alice,uhelper=udisks2,size=1M                0 0
tmpfs          /srv/k              tmpfs  x-mount.mkdir=0700,nosuid                           0 0
tmpfs          /srv/l              tmpfs  X-mount.mkdir,size=1M,users                        0 0
ramfs          /mnt/ramfs          ramfs  mode=0700,nosuid                                  0 0
none           /mnt/ramfs          ramfs  defaults                                          0 0
""",
    "of the kernel": r"""
proc           /proc               proc   defaults                                          0 0
proc           /proc               proc   nodev,noexec,nosuid                               0 0
proc           /proc               proc   defaults,hidepid=2,gid=4                          0 0
proc           /proc               proc   nosuid,nodev,noexec,hidepid=invisible,gid=adm     0 0
none           /proc               proc   hidepid=1,subset=pid                              0 0
sysfs          /sys                sysfs  nosuid,noexec,nodev                               0 0
none           /sys                sysfs  defaults                                          0 0
sysfs          /sys                sysfs  ro                                                0 0
devpts         /dev/pts            devpts gid=5,mode=620                                    0 0
devpts         /dev/pts            devpts rw,nosuid,noexec,relatime,gid=5,mode=0620,ptmxmode=0666,newinstance 0 0
none           /dev/pts            devpts gid=tty,mode=620,nosuid,noexec                    0 0
devpts         /dev/pts            devpts defaults,max=64                                   0 0
devtmpfs       /dev                devtmpfs mode=0755,nosuid                                0 0
udev           /dev                devtmpfs rw,nosuid,relatime                              0 0
mqueue         /dev/mqueue         mqueue defaults                                          0 0
none           /dev/mqueue         mqueue rw,nosuid,nodev,noexec,relatime                   0 0
hugetlbfs      /dev/hugepages      hugetlbfs mode=01770,gid=5                               0 0
nodev          /mnt/huge           hugetlbfs pagesize=2M                                    0 0
none           /mnt/huge_1         hugetlbfs uid=0,gid=0,mode=0755,pagesize=2MB,size=8M     0 0
hugetlbfs      /hugepages          hugetlbfs defaults,size=16M,min_size=0,nr_inodes=40      0 0
debugfs        /sys/kernel/debug   debugfs defaults                                         0 0
none           /sys/kernel/debug   debugfs nosuid,nodev,noexec,relatime                     0 0
tracefs        /sys/kernel/tracing tracefs rw,nosuid,nodev,noexec,relatime                  0 0
nodev          /sys/kernel/tracing tracefs defaults                                         0 0
securityfs     /sys/kernel/security securityfs rw,nosuid,nodev,noexec,relatime              0 0
none           /sys/fs/bpf         bpf    rw,nosuid,nodev,noexec,relatime,mode=700          0 0
bpffs          /sys/fs/bpf         bpf    defaults                                          0 0
binfmt_misc    /proc/sys/fs/binfmt_misc binfmt_misc nosuid,nodev,noexec                     0 0
pstore         /sys/fs/pstore      pstore rw,nosuid,nodev,noexec,relatime                   0 0
fusectl        /sys/fs/fuse/connections fusectl rw,nosuid,nodev,noexec                      0 0
cgroup2        /sys/fs/cgroup      cgroup2 rw,nosuid,nodev,noexec,relatime                  0 0
none           /cgroup2            cgroup2 defaults                                         0 0
cgroup         /sys/fs/cgroup/memory cgroup memory                                          0 0
cgroup         /sys/fs/cgroup/cpuset cgroup rw,nosuid,nodev,noexec,relatime,cpuset          0 0
cgroup         /sys/fs/cgroup/freezer cgroup defaults,freezer                               0 0
cgroup         /sys/fs/cgroup/systemd cgroup none,name=systemd                              0 0
cgroup         /sys/fs/cgroup      cgroup defaults                                          0 0
""",
    "ext2, ext3, ext4": r"""
UUID=0a3407de-014b-458b-b5c1-848e92a327a3 /      ext4 errors=remount-ro                     0 1
UUID=b411dc99-f0a0-4c87-9e05-184977be8539 /home  ext4 defaults                              0 2
UUID=f9fe0b69-a280-415d-a03a-a32752370dee /var   ext4 defaults,relatime                     0 2
LABEL=t-home2  /home               ext4   defaults,auto_da_alloc                            0 2
LABEL=data\040disk /data            ext4   rw,relatime,data=ordered,x-systemd.device-timeout=30s 0 2
/dev/sda1      /                   ext4   noatime,commit=60,barrier=1                       0 1
/dev/sda2      /boot               ext2   defaults,nosuid,nodev,ro                          1 2
/dev/sda3      /usr                ext3   defaults,nodev,data=writeback                     0 2
/dev/sda4      /var/log            ext3   rw,acl,user_xattr,noexec                          0 2
/dev/sdb1      /backup             ext4   noauto,noatime,nodiratime,user                    0 0
/dev/sdb2      /media/usb          auto   noauto,users,rw,nofail                            0 0
/dev/mapper/vg0-srv /srv           ext4   defaults,discard,lazytime,stripe=16               0 2
/dev/mapper/vg0-opt /opt           ext4   nodev,nosuid,journal_async_commit,errors=panic    0 2
/dev/vg0/docker /var/lib/docker    ext4   noatime,nobarrier,nodelalloc                      0 2
/dev/nvme0n1p2 /                   ext4   rw,relatime,x-initrd.mount,resuid=33,resgid=33    0 1
/dev/nvme0n1p3 /scratch            ext4   sync,dirsync,mand,noload,ro                       0 0
/dev/md0       /mnt/raid           ext4   defaults,nofail,min_batch_time=100,max_batch_time=20000 0 2
/dev/sdc1      /mnt/old            ext2   errors=continue,nouid32                           0 0
/dev/sdc2      /mnt/quota          ext4   defaults,usrquota,grpquota                        0 2
/dev/sdb3      /media/pick         auto   X-mount.auto-fstypes="ext4,xfs",ro                    0 0
/dev/sdc3      /mnt/sub            ext4   X-mount.subdir=lost+found,noatime                  0 0
/usr/tmpDSK    /tmp                ext4   loop,rw,noexec,nosuid,nodev                       0 0
/srv/images/root.img /mnt/image    ext4   loop,ro                                           0 0
/srv/images/disk.img /mnt/part     ext4   loop,offset=1048576,noatime                       0 0
/srv/images/limit.img /mnt/limit   ext4   ro,offset=1M,sizelimit=8M                         0 0
""",
    "xfs": r"""
UUID=3e6be9de-8139-4d1e-9106-a43f08d823a6 /      xfs  defaults                              0 0
UUID=94e4e384-0ace-437f-bc96-057dd64f42ee /home  xfs  defaults,noatime,inode64              0 0
LABEL=xfsdata  /data               xfs    rw,noatime,attr2,inode64,logbufs=8,logbsize=32k   0 0
/dev/mapper/rhel-var /var          xfs    defaults,allocsize=64m,largeio,swalloc            0 0
/dev/sdd1      /srv/media          xfs    nodiratime,discard,noquota,nosuid                 0 2
/dev/sdd2      /srv/quota          xfs    defaults,pquota                                   0 0
""",
    "btrfs": r"""
UUID=ce0ac0a5-2d07-4a5f-9c5e-9b4f1f0a8c11 /      btrfs defaults,subvol=@                    0 1
UUID=ce0ac0a5-2d07-4a5f-9c5e-9b4f1f0a8c11 /home  btrfs defaults,subvol=@home                0 2
UUID=5d1c7f35-3a9c-4d0e-8f2c-6f3f7a2ad001 /      btrfs subvol=root,compress=zstd:1          0 0
UUID=5d1c7f35-3a9c-4d0e-8f2c-6f3f7a2ad001 /home  btrfs subvol=home,compress=zstd:1          0 0
LABEL=pool     /mnt/pool           btrfs  rw,noatime,ssd,compress=zstd,subvol=@/data        0 0
/dev/sde1      /mnt/lzo            btrfs  defaults,compress=lzo,autodefrag,space_cache=v2   0 0
/dev/sde2      /mnt/snapshots      btrfs  nofail,noatime,compress-force=zstd:3,subvolid=5   0 0
/dev/sde3      /var/lib/machines   btrfs  nodatacow,commit=120,thread_pool=4,discard=async  0 0
/dev/sde4      /mnt/ro             btrfs  ro,max_inline=1k,noacl,flushoncommit              0 0
""",
    "squashfs and erofs": r"""
/var/lib/snapd/snaps/core.snap /snap/core squashfs nodev,ro,x-gdu.hide                      0 0
/live/filesystem.squashfs /rofs    squashfs loop,ro,nofail                                  0 0
/dev/mmcblk0p2 /rom                squashfs defaults                                        0 0
/dev/mmcblk0p3 /mnt/panic          squashfs ro,errors=panic                                 0 0
/system.img    /system             erofs  loop,ro                                           0 0
/dev/block/dm-1 /vendor            erofs  ro,user_xattr,acl                                 0 0
""",
    "binds and overlays": r"""
/mnt/music     /srv/nfs4/music     none   bind                                              0 0
/home          /srv/home           none   rw,bind                                           0 0
/var/www       /home/user/www      none   defaults,bind,ro                                  0 0
/opt/data      /srv/data           bind   bind,nosuid,nodev,noexec                          0 0
/tmp           /var/tmp            none   rw,noexec,nosuid,nodev,bind                       0 0
/srv/share     /mnt/share          none   bind,x-systemd.requires-mounts-for=/srv,_netdev   0 0
/data/a\040b   /mnt/with\040space  none   bind,noatime                                      0 0
/olddir        /newdir             none   rbind                                             0 0
/chroot/dev    /mnt/dev            none   defaults,rbind,nofail                             0 0
/srv/file/     /mnt/opt            auto   bind,nodiratime,user                              0 0
overlay        /merged             overlay noauto,x-systemd.automount,lowerdir=/lower,upperdir=/upper,workdir=/work 0 0
overlay        /etc                overlay lowerdir=/etc1:/etc2,ro                          0 0
overlay-root   /overlay            overlay nosuid,lowerdir=/low,upperdir=/up,workdir=/wk,index=off,xino=off 0 0
none           /union              overlay defaults,lowerdir=/l1:/l2:/l3,metacopy=off,redirect_dir=off 0 0
""",
    "nothing to mount here": r"""
UUID=88e8b5a2-1d2c-4f3e-9d58-9f4dd2e2b0f0 none   swap sw                                    0 0
/dev/sda5      none                swap   defaults                                          0 0
/swapfile      swap                swap   defaults,pri=10                                   0 0
/dev/sr0       /media/cdrom0       udf,iso9660 user,noauto                                  0 0
UUID=CBB6-24F2 /boot/efi           vfat   umask=0077                                        0 1
/dev/fd0       /media/floppy0      vfat   rw,user,noauto,uid=1000,gid=1000,utf8             0 0
UUID=01CD2ABB65E17DE0 /run/media/user1 ntfs-3g uid=1000,gid=users,umask=0022                0 0
fileserver:/home /mnt/home         nfs4   _netdev,noauto,rsize=65536,hard,timeo=14          0 0
//server/share /mnt/cifs           cifs   credentials=/etc/smb.cred,vers=3.0,uid=1000       0 0
me@host:/data  /mnt/sshfs          fuse.sshfs noauto,x-systemd.automount,_netdev,reconnect  0 0
configfs       /sys/kernel/config  configfs defaults                                        0 0
efivarfs       /sys/firmware/efi/efivars efivarfs ro,nosuid                                 0 0
usbfs          /proc/bus/usb       usbfs  busgid=85,busmode=0775,devgid=85                  0 0
""",
}

# What is shown is not what mount(8) makes of it: the line's source, path and words, and why.
DIFFERENT: dict[tuple[str, str, str], str] = {
    ("tmpfs", "/srv/d", "noatime,relatime"): (
        "of two words about access times the last one counts, as for mount(8) since 2.39; before that "
        "it is noatime in either order"
    ),
    ("/dev/sdc3", "/mnt/sub", "X-mount.subdir=lost+found,noatime"): (
        "mount(8) before 2.39 mounts it from a namespace that this one, which is private, hears nothing of"
    ),
    ("tmpfs", "/srv/h", "ro=vfs"): "mount(8) before 2.39 makes the file system read-only",
}

# What ns_mount refuses, and a part of its reason. mount(8) refuses it as well, but for those below.
REFUSED: dict[tuple[str, str, str], str] = {
    ("cgroup", "/sys/fs/cgroup", "defaults"): "are in hierarchies that are there already",
    ("/dev/mapper/vg0-opt", "/opt", "nodev,nosuid,journal_async_commit,errors=panic"): (
        "can't mount with journal_async_commit in data=ordered mode"
    ),
    ("/dev/sdd2", "/srv/quota", "defaults,pquota"): "quota support not available in this kernel",
    ("/var/lib/snapd/snaps/core.snap", "/snap/core", "nodev,ro,x-gdu.hide"): (
        "is not a block device, but a regular file"
    ),
    ("UUID=88e8b5a2-1d2c-4f3e-9d58-9f4dd2e2b0f0", "none", "sw"): "must be an absolute path",
    ("/dev/sda5", "none", "defaults"): "must be an absolute path",
    ("/swapfile", "swap", "defaults,pri=10"): "must be an absolute path",
    ("/dev/sr0", "/media/cdrom0", "user,noauto"): "No such file or directory",
    ("UUID=CBB6-24F2", "/boot/efi", "umask=0077"): "no device of this host has UUID=CBB6-24F2",
    ("/dev/fd0", "/media/floppy0", "rw,user,noauto,uid=1000,gid=1000,utf8"): "no file-system type",
    ("UUID=01CD2ABB65E17DE0", "/run/media/user1", "uid=1000,gid=users,umask=0022"): (
        "no device of this host has UUID=01CD2ABB65E17DE0"
    ),
    ("fileserver:/home", "/mnt/home", "_netdev,noauto,rsize=65536,hard,timeo=14"): (
        "no file-system type 'nfs4'"
    ),
    ("//server/share", "/mnt/cifs", "credentials=/etc/smb.cred,vers=3.0,uid=1000"): (
        "no file-system type 'cifs'"
    ),
    ("me@host:/data", "/mnt/sshfs", "noauto,x-systemd.automount,_netdev,reconnect"): (
        "Unknown parameter 'reconnect'"
    ),
    ("configfs", "/sys/kernel/config", "defaults"): "no file-system type 'configfs'",
    ("efivarfs", "/sys/firmware/efi/efivars", "ro,nosuid"): "no file-system type 'efivarfs'",
    ("usbfs", "/proc/bus/usb", "busgid=85,busmode=0775,devgid=85"): "no file-system type 'usbfs'",
}

# What mount(8) mounts all the same, and why ns_mount does not.
MOUNTED_BY_MOUNT: dict[tuple[str, str, str], str] = {
    ("/var/lib/snapd/snaps/core.snap", "/snap/core", "nodev,ro,x-gdu.hide"): (
        "a loop device is made where loop asks for one, and nowhere else"
    ),
}


class Line(t.NamedTuple):
    """A line of fstab(5)."""

    src: str
    path: str
    fstype: str
    opts: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is known by."""
        return (self.src, self.path, self.opts)

    def text(self) -> str:
        """The line, as it stands in a file."""
        return " ".join([*(_escaped(field) for field in self), "0", "0"])


def _escaped(field: str) -> str:
    return re.sub(r"[ \t\\]", lambda found: f"\\{ord(found[0]):03o}", field)


def parsed(text: str) -> list[Line]:
    """The lines of a file."""
    found = []
    for row in text.splitlines():
        fields = row.split()
        if fields and not row.startswith("#"):
            unescaped = [re.sub(r"\\(\d{3})", lambda each: chr(int(each[1], 8)), x) for x in fields]
            found.append(Line(*unescaped[:4]))
    return found
