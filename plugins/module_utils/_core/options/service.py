# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of a service. What becomes of them is in service_request.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.service_words import RESTART_CONDITIONS, SOCKET_TYPES, SUPERVISORS
from ..kinds import NAMES
from ..process import program

OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "argv": {"type": "list", "elements": "str"},
    "state": {
        "type": "str",
        "choices": ["started", "stopped", "restarted", "reloaded", "absent"],
        "default": "started",
    },
    "supervisor": {"type": "str", "choices": ["auto", *SUPERVISORS], "default": "auto"},
    "enabled": {"type": "bool"},
    "kinds": {"type": "list", "elements": "str", "choices": list(NAMES), "default": []},
    "image_config": {"type": "dict"},
    **program.arguments(),
    "chdir": {"type": "str"},
    "environment": {"type": "dict", "default": {}},
    "secret_environment": {"type": "dict", "default": {}, "no_log": True},
    "credentials": {"type": "dict", "default": {}, "no_log": True},
    "sockets": {
        "type": "list",
        "elements": "dict",
        "options": {
            "listen": {"type": "str", "required": True},
            "type": {"type": "str", "choices": list(SOCKET_TYPES), "default": "stream"},
            "name": {"type": "str"},
            "mode": {"type": "raw"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "blocking": {"type": "bool", "default": True},
        },
        "default": [],
    },
    "limits": {"type": "dict", "default": {}},
    "reload": {
        "type": "dict",
        "options": {"signal": {"type": "str"}, "argv": {"type": "list", "elements": "str"}},
        "mutually_exclusive": [("signal", "argv")],
    },
    "stop_signal": {"type": "str"},
    "stop_timeout": {"type": "float", "default": 10},
    "restart_policy": {
        "type": "dict",
        "options": {
            "condition": {
                "type": "str",
                "choices": list(RESTART_CONDITIONS),
                "default": "on-failure",
            },
            "delay": {"type": "float", "default": 0.25},
            "max_delay": {"type": "float", "default": 10},
            "limit": {"type": "int", "default": 0},
            "interval": {"type": "float", "default": 60},
        },
    },
    "ready": {
        "type": "dict",
        "options": {
            "port": {"type": "int"},
            "address": {"type": "str", "default": "127.0.0.1"},
            "file": {"type": "str"},
            "notify": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 30},
        },
        "mutually_exclusive": [("port", "file", "notify")],
    },
}
