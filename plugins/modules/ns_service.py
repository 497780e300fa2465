#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_service
short_description: Keep a program running in a named namespace
version_added: 0.1.0
description:
  - Starts, stops, reloads and restarts a program in the namespaces of a named namespace.
  - The process that runs is the program itself. Nothing stays resident beside it, and of the host's open files it has
    only standard input, which is empty, and standard output and error, which go to a file.
  - A program whose options changed is restarted with V(started). One that has ended is started again.
  - When the program ended and left processes behind, as a killed nginx leaves its workers, they are ended before it is
    started again.
options:
  name:
    description:
      - The name of the service, unique in its namespace.
    type: str
    required: true
  namespace:
    description:
      - The name of a namespace made with M(linux.namespaces.ns_namespace).
    type: str
    required: true
  argv:
    description:
      - The program, by its path inside, and its arguments. It has to stay in the foreground.
      - Without it the program is the one that the service was last started with.
    type: list
    elements: str
  state:
    description:
      - V(started) and V(stopped) change what is otherwise.
      - V(restarted) always restarts. V(reloaded) always reloads, and starts a program that does not run.
      - V(absent) stops it and removes its output and all that is known of it.
    type: str
    choices: [started, stopped, restarted, reloaded, absent]
    default: started
  supervisor:
    description:
      - What keeps the program running.
      - V(systemd) writes a unit, V(/etc/systemd/system/linux-namespaces:NAMESPACE:NAME.service), and drives it. The
        program is started again when it fails, as O(restart_policy) says, and its output goes to the journal.
      - What the program is and its environment are in V(/etc/linux-namespaces/services/NAMESPACE:NAME.json), which only
        root can read. Nothing of it is in the unit, nor in the environment of anything that runs on the host.
      - V(none) starts it and lets go of it. It is not started again by itself when it ends. Its output goes to a file
        of at most 10 MiB, of which four earlier parts are kept (RV(service.log)).
      - With V(none) it has a cgroup of its own, where one can be made, and with systemd that of a scope. So it outlives
        whoever runs the play, and all that it has started ends with it.
      - V(auto) is V(systemd) on hosts that it manages, else V(none).
    type: str
    choices: [auto, systemd, none]
    default: auto
  enabled:
    description:
      - Whether it is started at boot. Only systemd can do that.
      - In a persistent namespace it starts whenever that has come up, however late, be it at boot, by C(nsctl up) or by
        a play. It is stopped with the unit of the namespace (see O(linux.namespaces.ns_namespace#module:persistent)).
    type: bool
  kinds:
    description:
      - The kinds of namespace that the program gets new ones of, instead of those of O(namespace). A new V(mnt) is a
        private copy. In a new V(net) lo is up. In a new V(user) there is root alone, with no rights over the others.
      - With systemd these cannot be V(pid), V(time) and V(user).
    type: list
    elements: str
    choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
    default: []
  image_config:
    description:
      - How an image says that it is run, RV(linux.namespaces.ns_rootfs#module:config) of
        M(linux.namespaces.ns_rootfs). It has the values of O(argv), O(chdir), O(user) with O(group), and
        O(stop_signal) where the task does not give them, and its environment comes before O(environment).
      - It is what a stranger has written, and reaches the program alone. What makes no sense in it is refused, and its
        ports, volumes, labels and health check are not used.
    type: dict
  user:
    description:
      - The user that the program runs as, by name or uid, as known inside.
    type: str
  group:
    description:
      - Its group, by name or gid. By default that of the user.
    type: str
  groups:
    description:
      - Its supplementary groups, by name or gid. By default those that list the user as a member. An empty list drops
        all of them.
    type: list
    elements: str
  capabilities:
    description:
      - The capabilities that the program keeps; all others are taken from it. By default it has what its user has.
    type: list
    elements: str
  no_new_privs:
    description:
      - Whether the program and its children can never gain privileges, by setuid files for instance.
    type: bool
    default: false
  environment:
    description:
      - The environment of the program. Otherwise it has only C(PATH), and C(HOME), C(USER) and C(LOGNAME) of its user
        as V(/etc/passwd) inside has them.
      - With systemd it also has what that tells programs of their unit, such as C(INVOCATION_ID), C(LISTEN_FDS) and
        C(WATCHDOG_USEC), and with O(ready.notify) C(NOTIFY_SOCKET). What C(Environment=) of a drop-in says does not
        reach it.
    type: dict
    default: {}
  secret_environment:
    description:
      - Variables for its environment as well, whose values are nobody's to see. They come before those of the same name
        in O(environment).
      - Their values are in no result, diff, log or unit. A diff has their names, and says which of them change.
      - They are kept on the host in a file that only root can read. Who may look into the program, as its own user may,
        finds them in V(/proc/PID/environ).
    type: dict
    default: {}
  credentials:
    description:
      - The contents of files, by their names, as C(LoadCredential=) of C(systemd.exec(5)) has them. The program finds
        them in the directory that C(CREDENTIALS_DIRECTORY) names, V(/run/credentials/NAMESPACE:NAME) inside.
      - Only the user that the program is started as can read them, and root. They lie in memory that is not swapped,
        and are gone when the service was stopped. Without systemd those of a program that ended by itself are gone when
        it is started again or removed.
      - In results, in diffs and on the host they are treated as O(secret_environment).
      - They need a mount namespace, of O(namespace) or by O(kinds).
    type: dict
    default: {}
  chdir:
    description:
      - The working directory, inside. By default that of O(image_config), or V(/).
    type: str
  sockets:
    description:
      - Sockets that are opened for the program, and stay open while it is started again, by this module or by systemd,
        and while its namespace gets another root. So nobody who connects is turned away, but waits until the next
        program takes the connection.
      - The program finds them from descriptor 3 on, in this order, as C(sd_listen_fds(3)) has it, in C(LISTEN_FDS),
        C(LISTEN_FDNAMES) and C(LISTEN_PID). Whether it can take them is up to the program. nginx, for one, takes those
        that its variable C(NGINX) names, such as V(3;4;), and whose addresses are those of its configuration.
      - They are opened in the network namespace of O(namespace), or in the host's where it has none. An address need
        not be there yet.
      - With systemd they are a unit of their own, V(/etc/systemd/system/linux-namespaces:NAMESPACE:NAME.socket), which
        is started and stopped with the service by this module. The first who connects starts a program that has ended
        by itself, also where O(restart_policy) does not, and one that C(systemctl stop) has stopped.
      - With O(supervisor=none) nothing but the program holds them. A task that starts it again takes them from the
        program that it ends. They are closed with a program that ends by itself, and where a run is killed in between.
      - With O(ready.port) one of these ports is answered when the program itself has taken a connection.
    type: list
    elements: dict
    default: []
    suboptions:
      listen:
        description:
          - Where it listens, an address and a port such as V(127.0.0.1:8080) and V([::]:80), which is of IPv6 alone, or
            the path of a file inside, such as V(/run/app.sock). For a file O(namespace) needs a mount namespace.
          - A file lies on the host, where nobody but root gets to it, and is bound to this path. Directories above it
            are made. A program that asks for its name (C(getsockname(2))) is told that of the host.
        type: str
        required: true
      type:
        description: Whether it carries connections, as TCP has them, or datagrams, as UDP.
        type: str
        choices: [stream, datagram]
        default: stream
      name:
        description: What the program knows it by, in C(LISTEN_FDNAMES). By default O(name).
        type: str
      mode:
        description: The mode of a file, as a text, such as V('0660'). By default V('0666').
        type: raw
      owner:
        description: The owner of a file, a name or a number as known inside. By default root.
        type: str
      group:
        description: The group of a file, a name or a number as known inside. By default that of root.
        type: str
      blocking:
        description:
          - Whether a program that takes a connection waits for one (C(accept(2))). V(false) is for programs of several
            processes that wait for whichever descriptor is ready, and leave sockets that they are handed as they are,
            as nginx. One of them would otherwise wait in the place of all else that it does.
        type: bool
        default: true
  limits:
    description:
      - Resource limits by their name in C(getrlimit(2)) without C(RLIMIT_), such as V(nofile), as a number or as
        V(soft:hard). V(unlimited) is no limit.
    type: dict
    default: {}
  reload:
    description:
      - How the program is told to read its configuration again.
    type: dict
    suboptions:
      signal:
        description: A signal that the program is sent, in the forms of O(stop_signal).
        type: str
      argv:
        description: A program that is run in the same namespaces.
        type: list
        elements: str
  stop_signal:
    description:
      - The signal that ends the program, by its name with or without C(SIG) in upper or lower case, counted from the
        first or last real-time signal as in V(RTMIN+3) and V(SIGRTMAX-2), or by its number. By default V(TERM).
    type: str
  stop_timeout:
    description:
      - How long it may take to end, in seconds. Then it is killed.
    type: float
    default: 10
  restart_policy:
    description:
      - When a program that ended by itself is started again, how soon, and how often. Only systemd can do that.
      - Without it a program that failed is started again for as long as it takes, with growing delays.
    type: dict
    suboptions:
      condition:
        description:
          - With V(on-failure) a program that ended with another exit status than 0, or by any signal. Which signal that
            was makes no difference, as it would for systemd alone.
          - With V(always) one that ended in whatever way, with V(never) none. One that a task or C(systemctl stop) has
            stopped is not started again in any case.
        type: str
        choices: [on-failure, always, never]
        default: on-failure
      delay:
        description: How long to wait before it is started again, in seconds.
        type: float
        default: 0.25
      max_delay:
        description:
          - What O(restart_policy.delay) grows to, in seconds, with each restart since somebody else than
            systemd started the service. It gets there with the 40th. Before systemd 254 it does not grow.
        type: float
        default: 10
      limit:
        description:
          - After so many starts within O(restart_policy.interval), the first one included, it is given up until a task,
            or somebody else, starts it. With V(0) it is never given up.
        type: int
        default: 0
      interval:
        description: The time in which starts are counted for O(restart_policy.limit), in seconds.
        type: float
        default: 60
  ready:
    description:
      - How the program is known to be up. A task that starts it fails with its last output when it is not up in time.
      - Without it, and without systemd, it is up when it has not ended within 0.2 seconds.
    type: dict
    suboptions:
      port:
        description: A TCP port that accepts connections, in the network namespace of the program.
        type: int
      address:
        description: The address of that port.
        type: str
        default: 127.0.0.1
      file:
        description: A file that appears, inside.
        type: str
      notify:
        description:
          - The program tells systemd by C(sd_notify(3)). The socket that it does so by, V(/run/systemd/notify) on the
            host, has to be bound into the namespace for that.
        type: bool
        default: false
      timeout:
        description: How long it may take, in seconds.
        type: float
        default: 30
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - V(restarted) and V(reloaded) act each time.
requirements:
  - Linux 5.10 or newer
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_namespace
  - module: linux.namespaces.ns_setns_run
"""

EXAMPLES = r"""
---
- name: Run a program in the namespace web
  linux.namespaces.ns_service:
    namespace: web
    name: idle
    argv: [/bin/sleep, infinity]

- name: Run one that needs a password and a key
  linux.namespaces.ns_service:
    namespace: web
    name: shop
    argv: [/bin/sh, -c, 'exec sleep $SECONDS_TO_SLEEP']
    environment: {SECONDS_TO_SLEEP: "600"}
    secret_environment: {DB_PASSWORD: "{{ vault_db_password }}"}
    credentials: {tls.key: "{{ vault_tls_key }}"}

- name: Run one that may end as it likes, but not more often than ten times in a minute
  linux.namespaces.ns_service:
    namespace: web
    name: shop
    argv: [/bin/sleep, "30"]
    restart_policy: {condition: always, delay: 1, limit: 10, interval: 60}

- name: Run one that is started again without turning anybody away
  linux.namespaces.ns_service:
    namespace: web
    name: shop
    argv: [/bin/sleep, infinity]
    sockets:
      - listen: 127.0.0.1:8080
      - listen: /run/shop.sock
        mode: "0660"

- name: Forget that one
  linux.namespaces.ns_service:
    namespace: web
    name: shop
    state: absent

- name: Run what an image says, of which ns_rootfs has made web_root, but for what is given here
  linux.namespaces.ns_service:
    namespace: web
    name: web
    image_config: "{{ of_image }}"
    environment: {TZ: UTC}
  vars:
    of_image: "{{ web_root.config }}"

- name: Stop it
  linux.namespaces.ns_service:
    namespace: web
    name: idle
    state: stopped

- name: Forget it
  linux.namespaces.ns_service:
    namespace: web
    name: idle
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, step by step.
  returned: success
  type: list
  elements: str
  sample: [start service nginx]
service:
  description: The service afterwards.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: nginx
    namespace:
      description: The named namespace that it runs in.
      type: str
      sample: web
    state:
      description: V(started), V(stopped) or V(absent).
      type: str
      sample: started
    pid:
      description: The process that is the program, V(null) where none runs.
      type: int
      sample: 4242
    log:
      description: The file on the host that its output goes to, with systemd the command that shows it.
      type: str
      sample: /var/log/linux-namespaces/web/nginx.log
    enabled:
      description: Whether it is started at boot.
      returned: with systemd
      type: bool
      sample: true
    unit:
      description: The file of its unit.
      returned: with systemd
      type: str
      sample: /etc/systemd/system/linux-namespaces:web:nginx.service
    restarts:
      description: How often it was started again by itself, since a task or somebody else started it.
      returned: with systemd
      type: int
      sample: 2
    ended:
      description:
        - Why the program ended last, also where it was stopped. V(null) where it has not since the namespace is up.
      returned: with systemd
      type: dict
      sample: {result: signal, exit_status: null, signal: KILL}
      contains:
        result:
          description:
            - systemd's word for it, such as V(success), V(exit-code), V(signal), V(core-dump) and V(timeout).
          type: str
          sample: signal
        exit_status:
          description: With which status it ended, V(null) where a signal ended it.
          type: int
          sample: 3
        signal:
          description: Which signal ended it, without C(SIG), else V(null).
          type: str
          sample: KILL
    argv:
      description: The program and its arguments.
      returned: without systemd, unless it is absent
      type: list
      elements: str
      sample: [/usr/sbin/nginx, -g, daemon off;]
log:
  description: The last lines that the program wrote.
  returned: when it did not come up
  type: str
  sample: "bind() to 127.0.0.1:8080 failed (98: Address already in use)"
"""

from ansible_collections.linux.namespaces.plugins.module_utils import _module, _service
from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    service,
    service_request,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import supervisor


def main() -> None:
    module = _module.Module(
        masks=_service.MASKS, argument_spec=service.OPTIONS, supports_check_mode=True
    )
    with _module.failures_reported(module):
        request = service_request.request_of(module.params, lock_timeout=_module.LOCK_TIMEOUT)
        result = supervisor.run(request, nsctl, check=module.check_mode)
        module.exit_json(
            changed=bool(result.actions),
            actions=result.actions,
            service=result.service,
            **_module.diff_of(module, result.before, result.after, result.actions),
        )


if __name__ == "__main__":
    main()
