# SPDX-License-Identifier: GPL-3.0-or-later
"""The test hosts after the networks were removed: they have what they had before."""

from __future__ import annotations


def test_the_networks_of_the_host_are_as_they_were(host):
    assert host.check_output("/root/look | diff /root/before -") == ""
