# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files in /proc/PID say."""

from __future__ import annotations

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc


def test_links_of_namespaces() -> None:
    assert proc.parse_link("mnt:[4026531832]") == 4026531832
    assert proc.parse_link("pid_for_children:[1]") == 1
