/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUARD_H
#define GUARD_H

#define GUARD_SP	0
#define GUARD_SYNDROME	8
#define GUARD_ADDRESS	16
#define GUARD_PC	24

#ifndef __ASSEMBLER__

#include "abi.h"

struct probe;
typedef enum wcvmm_outcome probe_fn(struct probe *probe);

/* What the last fault inside guard_call() said; the offsets above are its fields'. */
struct guard {
	wcvmm_u64 sp;		/* where guard_call() resumes; 0 = no probe is under way */
	wcvmm_u64 syndrome;	/* as in struct wcvmm_record */
	wcvmm_u64 address;	/* of the access, when the syndrome says that it has one */
	wcvmm_u64 pc;		/* of the instruction */
};
extern struct guard guard;

/* Runs the probe; 0 when an exception ended it, which `guard` then describes. */
enum wcvmm_outcome guard_call(probe_fn *run, struct probe *probe);

#endif
#endif
