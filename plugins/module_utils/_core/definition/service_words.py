# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words that options of services are written with, for who has none.

What a service is takes longer to load: see service.py.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

# When a program that has ended is started again.
RESTART_CONDITIONS = ("on-failure", "always", "never")
# What keeps a service running: the first that a host has, if nobody says which.
SUPERVISORS = ("systemd", "none")
# The fields of which a diff shows the names alone.
SECRETS = ("secret_environment", "credentials")
# What a socket of a service carries.
SOCKET_TYPES = ("stream", "datagram")
