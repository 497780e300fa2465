# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Importing this package faster: each file compiled once, or not at all where the host has a copy."""

# The installed versions, each in a directory of its own that is named after what is in it.
LIBRARY = "/usr/local/lib/linux-namespaces"
