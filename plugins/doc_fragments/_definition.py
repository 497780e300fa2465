# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of ns_definition that has those of all modules in it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespaces:
    description:
      - 'The named namespaces, each as a whole. They are independent of each other: where one fails, the
        others are done all the same, several at once. Where one shows what another one makes, as
        its root, or they share a kind of namespace, they are worked on in the order of the list.'
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name.
          - See O(linux.namespaces.ns_namespace#module:name).
        type: str
        required: true
      kinds:
        description:
          - The kinds of namespace that it has.
          - See O(linux.namespaces.ns_namespace#module:kinds).
        type: list
        elements: str
        choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
        default: [mnt]
      propagation:
        description:
          - How mount events travel between the host and a new mount namespace.
          - See O(linux.namespaces.ns_namespace#module:propagation).
        type: str
        choices: [private, slave, shared, unchanged]
        default: private
      hostname:
        description:
          - The host name inside.
          - See O(linux.namespaces.ns_namespace#module:hostname).
        type: str
      domainname:
        description:
          - The NIS domain name inside.
          - See O(linux.namespaces.ns_namespace#module:domainname).
        type: str
      id_map:
        description:
          - Which ids outside the ids inside a new user namespace are.
          - See O(linux.namespaces.ns_namespace#module:id_map).
        type: raw
      share:
        description:
          - The kinds that it has from other named namespaces in place of its own, each with the name
            of such a namespace.
          - See O(linux.namespaces.ns_namespace#module:share).
        type: dict
        default: {}
      loopback:
        description:
          - Whether the interface lo of a network namespace is up.
          - See O(linux.namespaces.ns_namespace#module:loopback).
        type: bool
        default: true
      links:
        description:
          - The interfaces of its network namespace, which needs the kind V(net).
          - See O(linux.namespaces.ns_namespace#module:links).
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The name of the interface, of up to 15 characters.
              - See O(linux.namespaces.ns_link#module:name).
            type: str
            required: true
          kind:
            description:
              - What it is, by the words of ip-link(8).
              - See O(linux.namespaces.ns_link#module:kind).
            type: str
            required: true
            choices: [veth, macvlan, ipvlan, vlan, bridge, dummy, vrf, wireguard, moved]
          up:
            description:
              - Whether it is up.
              - See O(linux.namespaces.ns_link#module:up).
            type: bool
            default: true
          mac:
            description:
              - Its hardware address, where it can have one of its own.
              - See O(linux.namespaces.ns_link#module:mac).
            type: str
          mtu:
            description:
              - The size of its packets, and of those of its peer, in bytes.
              - See O(linux.namespaces.ns_link#module:mtu).
            type: int
            default: 0
          master:
            description:
              - The bridge or the vrf of the same namespace that it is a port of.
              - See O(linux.namespaces.ns_link#module:master).
            type: str
          addresses:
            description:
              - Its addresses with their prefixes, as V(10.9.0.2/30), V(fd00:9::2/64) or V(10.9.0.2 peer 10.9.0.1/32).
              - See O(linux.namespaces.ns_link#module:addresses).
            type: list
            elements: str
            default: []
          routes:
            description:
              - The routes by it, and blackholes.
              - See O(linux.namespaces.ns_link#module:routes).
            type: list
            elements: dict
            default: []
            suboptions:
              to:
                description:
                  - The network that it leads to, or V(default).
                  - See O(linux.namespaces.ns_link#module:routes[].to).
                type: str
                required: true
              via:
                description:
                  - The gateway.
                  - See O(linux.namespaces.ns_link#module:routes[].via).
                type: str
              dev:
                description:
                  - Another interface of the namespace by which it leads.
                  - See O(linux.namespaces.ns_link#module:routes[].dev).
                type: str
              metric:
                description:
                  - Its metric.
                  - See O(linux.namespaces.ns_link#module:routes[].metric).
                type: int
                default: 0
              table:
                description:
                  - The number of its table.
                  - See O(linux.namespaces.ns_link#module:routes[].table).
                type: int
                default: 0
              blackhole:
                description:
                  - Whether what it leads to is thrown away.
                  - See O(linux.namespaces.ns_link#module:routes[].blackhole).
                type: bool
                default: false
          rules:
            description:
              - Rules of ip-rule(8), which belong to the namespace as a whole.
              - See O(linux.namespaces.ns_link#module:rules).
            type: list
            elements: dict
            default: []
            suboptions:
              priority:
                description:
                  - Its priority, from 1 to 32765.
                  - See O(linux.namespaces.ns_link#module:rules[].priority).
                type: int
                required: true
              table:
                description:
                  - The number of the table that it sends to.
                  - See O(linux.namespaces.ns_link#module:rules[].table).
                type: int
                required: true
              from:
                description:
                  - Where packets come from, as a network.
                  - See O(linux.namespaces.ns_link#module:rules[].from).
                type: str
              to:
                description:
                  - Where they go to.
                  - See O(linux.namespaces.ns_link#module:rules[].to).
                type: str
              iif:
                description:
                  - The interface by which they come in.
                  - See O(linux.namespaces.ns_link#module:rules[].iif).
                type: str
              oif:
                description:
                  - The interface by which they go out.
                  - See O(linux.namespaces.ns_link#module:rules[].oif).
                type: str
              fwmark:
                description:
                  - Their mark.
                  - See O(linux.namespaces.ns_link#module:rules[].fwmark).
                type: int
                default: 0
          peer:
            description:
              - The other end of a C(veth).
              - See O(linux.namespaces.ns_link#module:peer).
            type: dict
            suboptions:
              name:
                description:
                  - Its name, by default C(ve-) and the name of the namespace.
                  - See O(linux.namespaces.ns_link#module:peer.name).
                type: str
              namespace:
                description:
                  - The named namespace that it is in, by default the host.
                  - See O(linux.namespaces.ns_link#module:peer.namespace).
                type: str
              bridge:
                description:
                  - The bridge there that it is a port of.
                  - See O(linux.namespaces.ns_link#module:peer.bridge).
                type: str
              addresses:
                description:
                  - Its addresses.
                  - See O(linux.namespaces.ns_link#module:peer.addresses).
                type: list
                elements: str
                default: []
          parent:
            description:
              - What a C(macvlan), an C(ipvlan) or a C(vlan) is made of.
              - See O(linux.namespaces.ns_link#module:parent).
            type: str
          parent_in:
            description:
              - Where the parent is, on the host or in the namespace itself.
              - See O(linux.namespaces.ns_link#module:parent_in).
            type: str
            choices: [host, namespace]
            default: host
          mode:
            description:
              - That of a C(macvlan), V(bridge), V(private), V(vepa) or V(passthru), by default the first.
              - See O(linux.namespaces.ns_link#module:mode).
            type: str
          id:
            description:
              - The number of a C(vlan).
              - See O(linux.namespaces.ns_link#module:id).
            type: int
            default: 0
          table:
            description:
              - The number of the table of a C(vrf).
              - See O(linux.namespaces.ns_link#module:table).
            type: int
            default: 0
          wireguard:
            description:
              - The tunnel of a C(wireguard).
              - See O(linux.namespaces.ns_link#module:wireguard).
            type: dict
            suboptions:
              private_key_file:
                description:
                  - The file on the host with its private key, as C(wg genkey) writes it, which only its owner can read.
                  - See O(linux.namespaces.ns_link#module:wireguard.private_key_file).
                type: path
                required: true
              listen_port:
                description:
                  - The port on the host.
                  - See O(linux.namespaces.ns_link#module:wireguard.listen_port).
                type: int
                default: 0
              fwmark:
                description:
                  - The mark of what it sends.
                  - See O(linux.namespaces.ns_link#module:wireguard.fwmark).
                type: int
                default: 0
              peers:
                description:
                  - Those at the other ends.
                  - See O(linux.namespaces.ns_link#module:wireguard.peers).
                type: list
                elements: dict
                default: []
                suboptions:
                  public_key:
                    description:
                      - Its public key.
                      - See O(linux.namespaces.ns_link#module:wireguard.peers[].public_key).
                    type: str
                    required: true
                  preshared_key_file:
                    description:
                      - The file on the host with a key that both share.
                      - See O(linux.namespaces.ns_link#module:wireguard.peers[].preshared_key_file).
                    type: path
                  endpoint:
                    description:
                      - Where it is, as C(192.0.2.1:51820).
                      - See O(linux.namespaces.ns_link#module:wireguard.peers[].endpoint).
                    type: str
                  allowed_ips:
                    description:
                      - The networks that are reached by it.
                      - See O(linux.namespaces.ns_link#module:wireguard.peers[].allowed_ips).
                    type: list
                    elements: str
                    default: []
                  persistent_keepalive:
                    description:
                      - How often something is sent to it, in seconds.
                      - See O(linux.namespaces.ns_link#module:wireguard.peers[].persistent_keepalive).
                    type: int
                    default: 0
          force:
            description:
              - Whether an interface is moved by which the host itself is reached, which is that of a default route, or
                of the ssh connection that the play runs on.
              - See O(linux.namespaces.ns_link#module:force).
            type: bool
            default: false
          masquerade:
            description:
              - Whether what it sends beyond the host goes on with the address of the host.
              - See O(linux.namespaces.ns_link#module:masquerade).
            type: bool
            default: false
          publish:
            description:
              - Ports of the host that lead here, as V(8080:80), V(127.0.0.1:5432:5432) or V([::1]:53:53/udp).
              - See O(linux.namespaces.ns_link#module:publish).
            type: list
            elements: str
            default: []
          dns:
            description:
              - Who is asked for names inside, and what is known without asking.
              - See O(linux.namespaces.ns_link#module:dns).
            type: dict
            suboptions:
              servers:
                description:
                  - The addresses of those that are asked, which are up to three.
                  - See O(linux.namespaces.ns_link#module:dns.servers).
                type: list
                elements: str
                default: []
              search:
                description:
                  - The domains in which short names are looked up.
                  - See O(linux.namespaces.ns_link#module:dns.search).
                type: list
                elements: str
                default: []
              options:
                description:
                  - Options of resolv.conf(5), as V(ndots:2).
                  - See O(linux.namespaces.ns_link#module:dns.options).
                type: list
                elements: str
                default: []
              hosts:
                description:
                  - What is known without asking, beside C(localhost).
                  - See O(linux.namespaces.ns_link#module:dns.hosts).
                type: list
                elements: dict
                default: []
                suboptions:
                  address:
                    description:
                      - An address.
                      - See O(linux.namespaces.ns_link#module:dns.hosts[].address).
                    type: str
                    required: true
                  names:
                    description:
                      - Its names.
                      - See O(linux.namespaces.ns_link#module:dns.hosts[].names).
                    type: list
                    required: true
                    elements: str
      sysctl:
        description:
          - Kernel parameters of the network, ipc and user namespaces.
          - See O(linux.namespaces.ns_namespace#module:sysctl).
        type: dict
        default: {}
      time_offsets:
        description:
          - By how many seconds the clocks of a new time namespace differ from the host's.
          - See O(linux.namespaces.ns_namespace#module:time_offsets).
        type: dict
        suboptions:
          monotonic:
            description:
              - The offset of C(CLOCK_MONOTONIC).
              - See O(linux.namespaces.ns_namespace#module:time_offsets.monotonic).
            type: int
          boottime:
            description:
              - The offset of C(CLOCK_BOOTTIME).
              - See O(linux.namespaces.ns_namespace#module:time_offsets.boottime).
            type: int
      persistent:
        description:
          - Whether it is there again after a reboot, with the mounts, root file systems and pivots that
            other modules record.
          - See O(linux.namespaces.ns_namespace#module:persistent).
        type: bool
        default: true
      rootfs:
        description:
          - A root of its own, unpacked, mounted, and made the root. Without it the namespace begins with
            the mounts of the host.
          - 'Of another source, or of a source that has changed, the namespace has to be made anew: see
            O(recreate).'
        type: dict
        suboptions:
          archive:
            description:
              - The path of a tar archive on the managed host, not compressed or with gzip, xz, zstd or
                bzip2.
              - See O(linux.namespaces.ns_rootfs#module:archive).
            type: path
          image:
            description:
              - The name of an image, V(docker://registry/name:tag), V(oci:DIRECTORY:tag), V(oci-archive:FILE:tag)
                or V(docker-archive:FILE:name:tag).
              - See O(linux.namespaces.ns_rootfs#module:image).
            type: str
          platform:
            description:
              - Which one is taken of an O(namespaces[].rootfs.image) that is there for several platforms,
                as in V(linux/arm64/v8).
              - See O(linux.namespaces.ns_rootfs#module:platform).
            type: str
          authfile:
            description:
              - The path of the file with the credentials for the registry of an O(namespaces[].rootfs.image),
                as C(skopeo login) writes it.
              - See O(linux.namespaces.ns_rootfs#module:authfile).
            type: path
          tls_verify:
            description:
              - Whether the registry of an O(namespaces[].rootfs.image) must have a valid certificate.
              - See O(linux.namespaces.ns_rootfs#module:tls_verify).
            type: bool
            default: true
          directory:
            description:
              - The path of a directory on the managed host that is copied, without what is mounted below
                it.
              - See O(linux.namespaces.ns_rootfs#module:directory).
            type: path
          bootstrap:
            description:
              - Makes a Debian root file system with C(mmdebstrap), which must be installed on the managed
                host.
              - See O(linux.namespaces.ns_rootfs#module:bootstrap).
            type: dict
            suboptions:
              suite:
                description:
                  - The release, such as V(bookworm) or V(stable).
                  - See O(linux.namespaces.ns_rootfs#module:bootstrap.suite).
                type: str
                required: true
              packages:
                description:
                  - What to install beside what O(namespaces[].rootfs.bootstrap.variant) brings.
                  - See O(linux.namespaces.ns_rootfs#module:bootstrap.packages).
                type: list
                elements: str
                default: []
              mirror:
                description:
                  - The address of a mirror, without a password.
                  - See O(linux.namespaces.ns_rootfs#module:bootstrap.mirror).
                type: str
              variant:
                description:
                  - Which packages there are at least, in the words of C(mmdebstrap).
                  - See O(linux.namespaces.ns_rootfs#module:bootstrap.variant).
                type: str
                default: minbase
              components:
                description:
                  - The components of the archive.
                  - See O(linux.namespaces.ns_rootfs#module:bootstrap.components).
                type: list
                elements: str
                default: []
          digest:
            description:
              - The digest that the source must have, V(sha256:) and 64 digits.
              - See O(linux.namespaces.ns_rootfs#module:digest).
            type: str
          size_limit:
            description:
              - How much an archive, or the layers of an image, may hold once they are decompressed, such
                as V(2G).
              - See O(linux.namespaces.ns_rootfs#module:size_limit).
            type: str
          id_map:
            description:
              - Shifts the owners for a user namespace with this map, so that they are right inside.
              - See O(linux.namespaces.ns_rootfs#module:id_map).
            type: raw
          device_nodes:
            description:
              - What to do with device nodes.
              - See O(linux.namespaces.ns_rootfs#module:device_nodes).
            type: str
            choices: [keep, skip]
            default: keep
          root:
            description:
              - How the root is mounted.
              - V(overlay) has it in O(namespaces[].rootfs.home) on the host, and what is written to it
                beside it. V(bind) writes to what was unpacked. V(tmpfs) unpacks it into memory whenever
                the namespace comes up.
            type: str
            choices: [overlay, tmpfs, bind]
            default: overlay
          home:
            description:
              - The directory on the host for the root, and what is written to it. Only root can enter
                it. It goes with the namespace.
              - By default V(/var/lib/linux-namespaces-NAME).
            type: path
          usual_mounts:
            description:
              - Whether the root has V(/proc), V(/dev) with what every program may expect, V(/run) and
                V(/tmp).
              - One that is listed in O(namespaces[].mounts) at such a place, as V(/dev/shm) or V(/dev),
                takes the place of the usual one.
            type: bool
            default: true
          volumes:
            description:
              - A directory on the host in which the volumes that an image names are kept, each in a directory with the
                name of its path. V(/var/lib/data) is in V(var-lib-data), and a V(-) in a path is doubled.
              - A new volume begins with what the image has there, with its owner and mode; with
                O(namespaces[].rootfs.root=tmpfs) it is empty and belongs to root. One that is there is mounted as it
                is. A path that O(namespaces[].mounts) names is left to that.
              - Only root can enter it. It stays when the namespace is removed, unless it lies in
                O(namespaces[].rootfs.home). Without it what is written to volumes is kept, or not, with the rest that
                is written to the root.
            type: path
          upper:
            description:
              - What becomes of what was written to a root with O(namespaces[].rootfs.root=overlay), when another root
                takes its place. What is to stay in any case lies in O(namespaces[].rootfs.volumes), or in a directory
                of the host that O(namespaces[].mounts) binds.
              - With V(new) the other root begins with nothing written to it, so that all of it is seen. What was
                written stays with the root before, for as long as that is kept. It is right wherever the root is a
                program that somebody else builds.
              - With V(keep) it stays, and hides what the new root has at the same paths, also what is newer there, of
                which a warning tells. It is for a root that is looked after from inside, as by a package manager. The
                namespace is made anew for another root then, with its services down, which takes O(recreate=true), and
                there is none to go back to.
            type: str
            choices: [new, keep]
            default: new
          keep_generations:
            description:
              - How many roots before the present one are kept, each with what was written to it, its services and their
                files, for O(state=rolled_back). Equal files of two roots take their room once where the file system
                can do that, or where both are used as O(namespaces[].rootfs.root=overlay). Of a root in memory what it
                is unpacked from is kept instead.
            type: int
            default: 1
          verify:
            description:
              - A program inside, as C([/usr/sbin/nginx, -t]), that says whether a root which was just unpacked is as it
                should be, with all mounts and files in place. Where it ends with anything but 0 the namespace fails,
                and the one that serves goes on. Not in check mode.
            type: list
            elements: str
            default: []
      mounts:
        description:
          - What is mounted inside, in this order, by the paths that it has there. What was listed before,
            and is not any more, is unmounted.
          - In a root of its own (O(namespaces[].rootfs)) a place that is missing is made, as with V(X-mount.mkdir).
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description:
              - The absolute path of the mount point, as seen inside the target.
              - See O(linux.namespaces.ns_mount#module:path).
            type: str
            required: true
          src:
            description:
              - What is mounted, such as a device, the source of a bind, or any word for file systems
                without a source.
              - See O(linux.namespaces.ns_mount#module:src).
            type: str
            default: ''
          fstype:
            description:
              - The type of the file system, as in V(/proc/filesystems).
              - See O(linux.namespaces.ns_mount#module:fstype).
            type: str
            default: ''
          opts:
            description:
              - The words of C(mount(8)), as a list or as one string with commas.
              - See O(linux.namespaces.ns_mount#module:opts).
            type: list
            elements: str
            default: []
          propagation:
            description:
              - How mount events travel to and from this mount (C(mount_namespaces(7))).
              - See O(linux.namespaces.ns_mount#module:propagation).
            type: str
            choices: [private, slave, shared, unbindable, rprivate, rslave, rshared, runbindable]
          src_in:
            description:
              - Where O(namespaces[].mounts[].src) of a bind and the directories of an overlay are looked
                up.
              - See O(linux.namespaces.ns_mount#module:src_in).
            type: str
            choices: [host, namespace]
            default: host
      files:
        description:
          - Files and directories on the host for it, as sources of binds. They are written before it is mounted and
            its services start, and removed when they are not listed any more.
        type: list
        elements: dict
        default: []
        suboptions: &file
          dest:
            description:
              - >-
                Its path on the host, below the home: O(namespaces[].rootfs.home), or
                C(/var/lib/linux-namespaces-NAME) where there is no root of its own. Directories above it are made.
              - >-
                What is in the home, and the way to it, may be written to by programs inside: no link is followed.
            type: str
            required: true
          content:
            description:
              - What is in the file. Required, but for a directory.
              - A diff shows it where others than its owner may read it by its mode; no log does.
            type: str
          state:
            description:
              - Whether it is a file or a directory. A directory that is not listed any more goes where it is empty.
            type: str
            choices: [file, directory]
            default: file
          owner:
            description:
              - Its owner, a name or a number of the host.
            type: str
            default: root
          group:
            description:
              - Its group, a name or a number of the host.
            type: str
            default: root
          mode:
            description:
              - Its mode, as a text, such as V('0640'). By default V('0644'), and V('0755') of a directory.
            type: raw
          validate:
            description:
              - >-
                A program of the namespace that looks at a new content before it takes the place of the old one, as
                C([/usr/sbin/nginx, -t, -c, '%s']). V(%s) in a word stands for what was written beside
                the file, as it is called inside: one of O(namespaces[].mounts) has to show its directory.
              - Where it ends with anything but 0, the namespace fails, and the file is as it was. Not in check mode.
            type: list
            elements: str
      services:
        description:
          - The programs that are kept running in it. They are started in this order, once the namespace
            is whole. One that was listed before, and is not any more, is removed first of all.
          - Without O(namespaces[].services[].argv) it is what the image of O(namespaces[].rootfs.image)
            says.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description:
              - The name of the service, unique in its namespace.
              - See O(linux.namespaces.ns_service#module:name).
            type: str
            required: true
          argv:
            description:
              - The program, by its path inside, and its arguments.
              - See O(linux.namespaces.ns_service#module:argv).
            type: list
            elements: str
          state:
            description:
              - V(started) and V(stopped) change what is otherwise.
              - See O(linux.namespaces.ns_service#module:state).
            type: str
            choices: [started, stopped]
            default: started
          supervisor:
            description:
              - What keeps the program running.
              - See O(linux.namespaces.ns_service#module:supervisor).
            type: str
            choices: [auto, systemd, none]
            default: auto
          enabled:
            description:
              - Whether it is started at boot.
              - By default it is where systemd keeps it running and the namespace outlives a reboot.
              - See O(linux.namespaces.ns_service#module:enabled).
            type: bool
          kinds:
            description:
              - The kinds of namespace that the program gets new ones of, instead of those of its namespace.
              - See O(linux.namespaces.ns_service#module:kinds).
            type: list
            elements: str
            choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
            default: []
          image_config:
            description:
              - How an image says that it is run.
              - See O(linux.namespaces.ns_service#module:image_config).
            type: dict
          user:
            description:
              - The user that the program runs as, by name or uid, as known inside.
              - See O(linux.namespaces.ns_service#module:user).
            type: str
          group:
            description:
              - Its group, by name or gid.
              - See O(linux.namespaces.ns_service#module:group).
            type: str
          groups:
            description:
              - Its supplementary groups, by name or gid.
              - See O(linux.namespaces.ns_service#module:groups).
            type: list
            elements: str
          capabilities:
            description:
              - The capabilities that the program keeps; all others are taken from it.
              - See O(linux.namespaces.ns_service#module:capabilities).
            type: list
            elements: str
          no_new_privs:
            description:
              - Whether the program and its children can never gain privileges, by setuid files for instance.
              - See O(linux.namespaces.ns_service#module:no_new_privs).
            type: bool
            default: false
          chdir:
            description:
              - The working directory, inside.
              - See O(linux.namespaces.ns_service#module:chdir).
            type: str
          environment:
            description:
              - The environment of the program.
              - See O(linux.namespaces.ns_service#module:environment).
            type: dict
            default: {}
          secret_environment:
            description:
              - Variables for its environment as well, whose values are nobody's to see.
              - See O(linux.namespaces.ns_service#module:secret_environment).
            type: dict
            default: {}
          credentials:
            description:
              - The contents of files, by their names, as C(LoadCredential=) of C(systemd.exec(5)) has
                them.
              - See O(linux.namespaces.ns_service#module:credentials).
            type: dict
            default: {}
          sockets:
            description:
              - Sockets that are opened for the program, and stay open while it is started again, by this module
                or by systemd, and while its namespace gets another root.
              - See O(linux.namespaces.ns_service#module:sockets).
            type: list
            elements: dict
            default: []
            suboptions:
              listen:
                description:
                  - Where it listens, an address and a port such as V(127.0.0.1:8080) and V([::]:80), which is of
                    IPv6 alone, or the path of a file inside, such as V(/run/app.sock).
                  - See O(linux.namespaces.ns_service#module:sockets[].listen).
                type: str
                required: true
              type:
                description:
                  - Whether it carries connections, as TCP has them, or datagrams, as UDP.
                  - See O(linux.namespaces.ns_service#module:sockets[].type).
                type: str
                choices: [stream, datagram]
                default: stream
              name:
                description:
                  - What the program knows it by, in C(LISTEN_FDNAMES).
                  - See O(linux.namespaces.ns_service#module:sockets[].name).
                type: str
              mode:
                description:
                  - The mode of a file, as a text, such as V('0660').
                  - See O(linux.namespaces.ns_service#module:sockets[].mode).
                type: raw
              owner:
                description:
                  - The owner of a file, a name or a number as known inside.
                  - See O(linux.namespaces.ns_service#module:sockets[].owner).
                type: str
              group:
                description:
                  - The group of a file, a name or a number as known inside.
                  - See O(linux.namespaces.ns_service#module:sockets[].group).
                type: str
              blocking:
                description:
                  - Whether a program that takes a connection waits for one (C(accept(2))).
                  - See O(linux.namespaces.ns_service#module:sockets[].blocking).
                type: bool
                default: true
          limits:
            description:
              - Resource limits by their name in C(getrlimit(2)) without C(RLIMIT_), such as V(nofile),
                as a number or as V(soft:hard).
              - See O(linux.namespaces.ns_service#module:limits).
            type: dict
            default: {}
          reload:
            description:
              - How the program is told to read its configuration again.
              - See O(linux.namespaces.ns_service#module:reload).
            type: dict
            suboptions:
              signal:
                description:
                  - A signal that the program is sent, in the forms of O(namespaces[].services[].stop_signal).
                  - See O(linux.namespaces.ns_service#module:reload.signal).
                type: str
              argv:
                description:
                  - A program that is run in the same namespaces.
                  - See O(linux.namespaces.ns_service#module:reload.argv).
                type: list
                elements: str
          stop_signal:
            description:
              - The signal that ends the program, by its name with or without C(SIG) in upper or lower
                case, counted from the first or last real-time signal as in V(RTMIN+3) and V(SIGRTMAX-2),
                or by its number.
              - See O(linux.namespaces.ns_service#module:stop_signal).
            type: str
          stop_timeout:
            description:
              - How long it may take to end, in seconds.
              - See O(linux.namespaces.ns_service#module:stop_timeout).
            type: float
            default: 10
          restart_policy:
            description:
              - When a program that ended by itself is started again, how soon, and how often.
              - See O(linux.namespaces.ns_service#module:restart_policy).
            type: dict
            suboptions:
              condition:
                description:
                  - With V(on-failure) a program that ended with another exit status than 0, or by any
                    signal.
                  - See O(linux.namespaces.ns_service#module:restart_policy.condition).
                type: str
                choices: [on-failure, always, never]
                default: on-failure
              delay:
                description:
                  - How long to wait before it is started again, in seconds.
                  - See O(linux.namespaces.ns_service#module:restart_policy.delay).
                type: float
                default: 0.25
              max_delay:
                description:
                  - What O(namespaces[].services[].restart_policy.delay) grows to, in seconds, with each
                    restart since somebody else than systemd started the service.
                  - See O(linux.namespaces.ns_service#module:restart_policy.max_delay).
                type: float
                default: 10
              limit:
                description:
                  - After so many starts within O(namespaces[].services[].restart_policy.interval), the
                    first one included, it is given up until a task, or somebody else, starts it.
                  - See O(linux.namespaces.ns_service#module:restart_policy.limit).
                type: int
                default: 0
              interval:
                description:
                  - The time in which starts are counted for O(namespaces[].services[].restart_policy.limit),
                    in seconds.
                  - See O(linux.namespaces.ns_service#module:restart_policy.interval).
                type: float
                default: 60
          ready:
            description:
              - How the program is known to be up.
              - See O(linux.namespaces.ns_service#module:ready).
            type: dict
            suboptions:
              port:
                description:
                  - A TCP port that accepts connections, in the network namespace of the program.
                  - See O(linux.namespaces.ns_service#module:ready.port).
                type: int
              address:
                description:
                  - The address of that port.
                  - See O(linux.namespaces.ns_service#module:ready.address).
                type: str
                default: 127.0.0.1
              file:
                description:
                  - A file that appears, inside.
                  - See O(linux.namespaces.ns_service#module:ready.file).
                type: str
              notify:
                description:
                  - The program tells systemd by C(sd_notify(3)).
                  - See O(linux.namespaces.ns_service#module:ready.notify).
                type: bool
                default: false
              timeout:
                description:
                  - How long it may take, in seconds.
                  - See O(linux.namespaces.ns_service#module:ready.timeout).
                type: float
                default: 30
          files:
            description:
              - Files on the host that the program reads when it starts, as its configuration.
              - When one of them has changed, a program that runs is reloaded as O(namespaces[].services[].reload)
                says, or started again without that.
            type: list
            elements: dict
            default: []
            suboptions: *file
      steps:
        description:
          - What is done in the namespace, in this order, as C(nsctl export) writes it for one whose mounts,
            roots and pivots were made by single tasks. Mutually exclusive with O(namespaces[].mounts)
            and O(namespaces[].rootfs).
        type: list
        elements: dict
        default: []
        suboptions:
          do:
            description:
              - 'What is done: a mount, a root that is unpacked, or a pivot.'
            type: str
            required: true
            choices: [mount, unpack, pivot]
          persistent:
            description:
              - Whether it outlives a reboot, where the namespace does.
            type: bool
            default: true
          path:
            description:
              - See O(linux.namespaces.ns_mount#module:path).
            type: str
          src:
            description:
              - See O(linux.namespaces.ns_mount#module:src).
            type: str
            default: ''
          fstype:
            description:
              - See O(linux.namespaces.ns_mount#module:fstype).
            type: str
            default: ''
          opts:
            description:
              - See O(linux.namespaces.ns_mount#module:opts).
            type: list
            elements: str
            default: []
          propagation:
            description:
              - See O(linux.namespaces.ns_mount#module:propagation).
            type: str
            choices: [private, slave, shared, unbindable, rprivate, rslave, rshared, runbindable]
          src_in:
            description:
              - See O(linux.namespaces.ns_mount#module:src_in).
            type: str
            choices: [host, namespace]
            default: host
          archive:
            description:
              - See O(linux.namespaces.ns_rootfs#module:archive).
            type: path
          directory:
            description:
              - See O(linux.namespaces.ns_rootfs#module:directory).
            type: path
          digest:
            description:
              - See O(linux.namespaces.ns_rootfs#module:digest).
            type: str
          device_nodes:
            description:
              - See O(linux.namespaces.ns_rootfs#module:device_nodes).
            type: str
            choices: [keep, skip]
            default: keep
          new_root:
            description:
              - See O(linux.namespaces.ns_pivot_root#module:new_root).
            type: path
          put_old:
            description:
              - See O(linux.namespaces.ns_pivot_root#module:put_old).
            type: path
"""
