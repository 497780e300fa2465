# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

import os

_archive = getattr(__spec__.loader, "archive", "")  # of a zipimport.zipimporter
if _archive:
    from .startup import LIBRARY, sent_archive

    sent_archive.compile_once(__path__)
    # On a host without nsctl there is nothing to look for, and a task should not pay for it.
    if os.path.isdir(LIBRARY):
        from .startup import compiled_copy

        compiled_copy.take_the_place_of(__name__, _archive)
