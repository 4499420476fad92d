// SPDX-License-Identifier: Apache-2.0
// CLFLUSH: allowed for every memory type, and what was stored is still there.
#include "probes/line.h"

enum wcvmm_outcome probe_cache_flush(struct probe *probe)
{
	line_write(probe);
	flush_line(probe->address);
	full_barrier();
	return line_check(probe);
}
