# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: named
author:
  - linux.namespaces contributors (@linux-namespaces)
short_description: Expands hosts into their named namespaces
version_added: 0.1.0
description:
  - The hosts that it adds are in the group C(all), as every host is. With it, C(hosts) V(all) means the inside of each
    namespace as well as each host. Plays for hosts say V(all:!namespaces), plays for the inside V(namespaces) or
    another of the groups below. Modules that speak to an init are refused inside, see
    P(linux.namespaces.ssh#connection).
  - For each named namespace of a host adds a host, such as V(web@host1), whose tasks run inside.
  - It is reached as its host is. How to reach that is taken from the variables of the host, also from those of its
    groups and in C(host_vars) and C(group_vars).
  - Its variables C(ansible_connection), C(ansible_ns_namespace) and C(ansible_pipelining) are set. If the host has
    C(ansible_become) with V(sudo) or V(doas), that is how its namespaces are entered.
  - It is in the group V(namespaces), in one for its name, as V(namespace_web), and in one for its host, as
    V(namespaces_on_host1).
  - Its variables C(ns_name), C(ns_host), and where hosts were asked or say so themselves C(ns_kinds), C(ns_state),
    C(ns_root) and C(ns_persistent) describe it.
  - The hosts come from sources that are read earlier. They come earlier on the command line, or in a directory by their
    file name.
  - A source is a file V(.yml) or V(.yaml) whose O(plugin) is V(linux.namespaces.named).
options:
  plugin:
    description: Marks the file as a source for this plugin.
    type: str
    required: true
    choices: [linux.namespaces.named]
  variable:
    description:
      - The variable of a host that lists its named namespaces, as names, or as dictionaries with a C(name) and possibly
        C(kinds), C(state), C(root) and C(persistent).
      - Hosts that have it are not asked, also when it is an empty list.
    type: str
    default: namespaces
  ask:
    description:
      - Asks the hosts without that variable, over their own connections, by C(nsctl list).
      - A host that does not answer is left out with a warning.
      - An answer is data. A namespace that is not described as C(nsctl list) does is left out with a warning, and no
        text of an answer, or of a cache of answers, is used as a template.
      - A host says itself which namespaces it has. Where a play for V(namespace_web) hands out secrets that not every
        asked host may have, list the namespaces in the variable.
    type: bool
    default: false
  forks:
    description: How many hosts are asked at the same time.
    type: int
    default: 10
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
seealso:
  - plugin: linux.namespaces.ssh
    plugin_type: connection
  - plugin: linux.namespaces.local
    plugin_type: connection
"""

EXAMPLES = r"""
---
# Hosts of another source list their namespaces in a variable: `namespaces: [web, shop]`
plugin: linux.namespaces.named

---
# In playbooks then:  `hosts: all:!namespaces` for the hosts, `hosts: namespaces` for the inside of all their namespaces

---
# Ask the hosts, and again after an hour; group by what they say
plugin: linux.namespaces.named
ask: true
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/namespaces
cache_timeout: 3600
keyed_groups:
  - key: ns_state
    prefix: namespaces
  - key: ns_kinds
    prefix: with
compose:
  ansible_python_interpreter: "'/usr/bin/python3'"
groups:
  shops: ns_name.startswith('shop')
"""

import contextlib
import functools
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.playbook.play_context import PlayContext
from ansible.plugins.inventory import (
    BaseInventoryPlugin,
    Cacheable,
    Constructable,
    to_safe_group_name,
)
from ansible.plugins.loader import connection_loader
from ansible.utils.unsafe_proxy import wrap_var
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ansible_collections.linux.namespaces.plugins.plugin_utils import _asking, _records
from ansible_collections.linux.namespaces.plugins.plugin_utils._heard import for_people

Variables = dict[str, t.Any]
# What hosts are reached through, and their namespaces then.
_CONNECTIONS = {
    "ansible.builtin.local": "linux.namespaces.local",
    "ansible.builtin.ssh": "linux.namespaces.ssh",
    "local": "linux.namespaces.local",
    "smart": "linux.namespaces.ssh",
    "ssh": "linux.namespaces.ssh",
}

# Variables that say where a host is.
_WHERE = frozenset(("ansible_connection", "ansible_host"))


@functools.cache
def _option_variables(plugin: str) -> frozenset[str]:
    """The variables that set options of a connection plugin; known once it was loaded."""
    loaded = connection_loader.get(plugin, PlayContext())._load_name
    return frozenset(C.config.get_plugin_vars("connection", loaded))


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    NAME = "linux.namespaces.named"

    def verify_file(self, path: str) -> bool:
        """Whether it may be a source for this plugin; parse() looks at what is in it."""
        return bool(super().verify_file(path)) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Add the namespaces of the hosts that are there."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        variable = self.get_option("variable")
        ways, listed = {}, {}
        for name in list(inventory.hosts):
            self.templar.available_variables = variables = self._variables_of(name)
            way = self._way_into(name, variables)
            if not way:
                continue
            ways[name] = way
            if variable in variables:
                listed[name] = self.templar.template(variables[variable])
        for host, namespaces in listed.items():
            for record in self._of_operator(namespaces, host):
                self._add(record, host, ways[host])
        if self.get_option("ask"):
            unknown = {name: ways[name] for name in ways if name not in listed}
            for host, records in self._answers(unknown, path, use_cache=cache).items():
                for record in records:
                    self._add_answered(record, host, ways[host])

    def _variables_of(self, host: str) -> Variables:
        """All that is known of a host now, as its plays will see it."""
        found = self.inventory.hosts[host]
        groups = found.get_groups()
        sources = getattr(self.inventory, "processed_sources", [])
        variables: Variables = get_group_vars(groups)
        for own, entities in (({}, groups), (found.get_vars(), [found])):
            variables = combine_vars(variables, own)
            from_plugins = get_vars_from_inventory_sources(self.loader, sources, entities, "all")
            variables = combine_vars(variables, from_plugins)
        return {**variables, "inventory_hostname": host}

    def _way_into(self, host: str, variables: Variables) -> Variables:
        """The variables of a namespace of the host that say how to get there; none if nothing does."""

        def value_of(name: str, default: t.Any = None) -> t.Any:
            return self.templar.template(variables[name]) if name in variables else default

        plugin = _CONNECTIONS.get(value_of("ansible_connection", "ssh"))
        if plugin is None:
            return {}  # it is a namespace itself, or something that has none
        taken = (_option_variables(plugin) & set(variables)) - {"inventory_hostname"}
        way = {"ansible_connection": plugin, "ansible_pipelining": True}
        if plugin == "linux.namespaces.ssh":
            way["ansible_host"] = host
        escalation = value_of("ansible_become_method", "sudo").rpartition(".")[2]
        if value_of("ansible_become") and escalation in ("sudo", "doas"):
            way["ansible_ns_escalation"] = escalation
        return {**way, **{name: value_of(name) for name in sorted(taken)}}

    def _of_operator(self, namespaces: t.Any, host: str) -> list[Variables]:
        """The namespaces that a variable of the host lists. Raises AnsibleParserError."""
        listed = namespaces if isinstance(namespaces, list) else [namespaces]
        records = _records.checked(listed)
        if records.odd:
            raise AnsibleParserError(f"among the namespaces of {host} is {records.oddities}")
        return list(records.known.values())

    def _answers(
        self, ways: Variables, path: str, *, use_cache: bool
    ) -> dict[str, list[Variables]]:
        """What the hosts say, or said within the time of the cache, as far as it has its form."""
        use_cache = use_cache and self.get_option("cache")
        key = self.get_cache_key(path)
        answers = self._kept(key) if use_cache else {}
        unknown = {host: way for host, way in ways.items() if host not in answers}
        for host, answer in _asking.ask(unknown, forks=self.get_option("forks")).items():
            if isinstance(answer, str):
                self.display.warning(f"The namespaces of {host} are not known: {answer}")
            else:
                if answer.odd:
                    self._leave_out(host, answer.oddities)
                answers[host] = list(answer.known.values())
        if self.get_option("cache"):
            self._cache[key] = answers
        return {host: answers[host] for host in ways if host in answers}

    def _kept(self, key: str) -> dict[str, list[Variables]]:
        """What the cache has. It is checked as an answer is: it was one, of whatever version."""
        found = self._cache.get(key, {})
        kept = {}
        for host, records in found.items() if isinstance(found, dict) else ():
            with contextlib.suppress(ValueError):
                kept[host] = list(_records.checked(records).known.values())
        return kept

    def _add_answered(self, record: Variables, host: str, way: Variables) -> None:
        """Add what a host answers to be there, or warn: one host holds back no other."""
        namespace = f"{record['name']}@{host}"
        known = self.inventory.hosts.get(namespace)
        if known is not None:
            variables = known.get_vars()
            if variables.get("ns_host", "" if _WHERE.intersection(variables) else host) != host:
                return self._leave_out(host, f"{namespace}, which is another host already")
        try:
            self._add(record, host, way)
        except AnsibleError as error:
            self.inventory.remove_host(self.inventory.hosts[namespace])
            self._leave_out(host, f"{namespace}: {for_people(str(error))}")
        return None

    def _leave_out(self, host: str, what: str) -> None:
        self.display.warning(f"Left out of the namespaces of {host}: {what}")

    def _add(self, record: Variables, host: str, way: Variables) -> None:
        name = record["name"]
        namespace = f"{name}@{host}"
        groups = ["namespaces", f"namespace_{name}", f"namespaces_on_{host}"]
        for group in [to_safe_group_name(group) for group in groups]:
            self.inventory.add_group(group)
            self.inventory.add_host(namespace, group=group)
        # Text of a host is never a template, whatever form it passed.
        facts = {f"ns_{fact}": wrap_var(record[fact]) for fact in _records.FACTS if fact in record}
        named = {"ansible_ns_namespace": name, "ns_name": name, "ns_host": host}
        for key, value in {**way, **named, **facts}.items():
            self.inventory.set_variable(namespace, key, value)
        strict = self.get_option("strict")
        variables = self.inventory.get_host(namespace).get_vars()
        self._set_composite_vars(self.get_option("compose"), variables, namespace, strict=strict)
        variables = self.inventory.get_host(namespace).get_vars()
        for arrange, wanted in (
            (self._add_host_to_composed_groups, self.get_option("groups")),
            (self._add_host_to_keyed_groups, self.get_option("keyed_groups")),
        ):
            arrange(wanted, variables, namespace, strict=strict, fetch_hostvars=False)
