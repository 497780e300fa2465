# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules that run a program in the manner of ansible.builtin.command.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  argv:
    description:
      - The program and its arguments, one an element. They reach the program as they are. No shell reads them, and
        variables and V(~) in them are not replaced.
      - A program without a slash is looked for in C(PATH), inside the program's root.
      - Exactly one of O(argv) and O(cmd) is given.
    type: list
    elements: str
  cmd:
    description:
      - The program and its arguments in one string, which is split into words as a shell does it.
    type: str
  chdir:
    description:
      - The working directory of the program, inside its root. One that lies outside, such as V(/proc/self/fd/7) may, is
        refused.
      - By default it is V(/) in a root that is not the host's, and else the one that the task has.
    type: path
  creates:
    description:
      - A path or glob pattern. If something matches it where the program would run, in its root and among its mounts,
        the program is not run.
    type: path
  removes:
    description:
      - A path or glob pattern. If nothing matches it where the program would run, the program is not run.
    type: path
  environment:
    description:
      - Environment variables of the program. It has no others than these, O(secret_environment), and C(PATH), C(HOME),
        C(USER) and C(LOGNAME) of its user, which may be among these. C(HOME), C(USER) and C(LOGNAME) are left out
        where the program's root does not know the user.
      - The environment that the host gives to the module is not handed in, and so neither is what the keyword
        C(environment) of the task adds to it.
      - They are logged on the host and shown with C(-vvv), but for those whose name says that they hold a secret, such
        as C(PGPASSWORD), C(API_KEY) or C(GITHUB_TOKEN). See O(secret_environment) for those that do.
    type: dict
  secret_environment:
    description:
      - More environment variables of the program, which win over O(environment). Their values are neither logged nor
        returned, whatever their names are.
      - As with every such option of Ansible, the values are hidden in all that the program has written too. One that is
        short or a common word makes the output unreadable.
      - Processes of the same user, and root, can read the environment of a program. Nobody sees it in a list of
        processes, where O(argv) and O(cmd) are.
    type: dict
  user:
    description:
      - The user that runs the program, by name, by uid, or as V(user:group).
      - Names are looked up in V(/etc/passwd) of the program's root. Where that is the host's, all name services of
        the host are asked.
      - A uid is a number without sign or leading zero. It need not have a name; if it has none, the group has the same
        number.
    type: str
  group:
    description:
      - The group of the program, by name or by gid. By default the one of O(user).
    type: str
  groups:
    description:
      - The supplementary groups of the program, by name or by gid. By default those that list O(user) as a member.
        An empty list drops all of them.
    type: list
    elements: str
  capabilities:
    description:
      - The capabilities that are kept, such as V(net_bind_service) or V(CAP_NET_BIND_SERVICE). An empty list drops all.
      - The bounding, permitted and effective sets become these. A program that does not run as root has them in its
        inheritable and ambient sets as well, and so keeps them; these two are empty otherwise.
      - By default the program has what the kernel gives to its user.
    type: list
    elements: str
  no_new_privs:
    description:
      - Forbids the program and all that it starts to get more rights by running a file, such as a setuid one.
    type: bool
    default: false
  stdin:
    description:
      - What the program reads from its standard input. By default that is V(/dev/null). It is not logged.
    type: str
  stdin_add_newline:
    description:
      - Whether a newline is appended to O(stdin).
    type: bool
    default: true
  strip_empty_ends:
    description:
      - Whether empty lines at the end of the outputs are removed.
    type: bool
    default: true
  timeout:
    description:
      - After this many seconds the program and everything that it has started is killed, and the task fails. What had
        been written until then is returned.
      - Processes that another service was asked to start are not among them. Without a pid namespace of its own, a
        program that does nothing but start processes may be faster than what kills them.
    type: float
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
    support: partial
    details:
      - What a program would change is not known. It is skipped, unless O(creates) or O(removes) tell whether it would
        run.
  diff_mode:
    description: Will return details on what has changed, when in diff mode.
    support: none
  idempotent:
    description: A second run with the same options reports no change.
    support: partial
    details:
      - With O(creates) or O(removes) the program runs only if it is needed. Without them it runs every time.
"""
