# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

import os

from .startup import LIBRARY

_archive = getattr(__spec__.loader, "archive", "")  # of a zipimport.zipimporter
# On a host without nsctl there is nothing to look for, and a task should not pay for it.
if _archive and os.path.isdir(LIBRARY):
    from .startup import compiled_copy

    compiled_copy.take_the_place_of(__name__, _archive)
