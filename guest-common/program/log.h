/* SPDX-License-Identifier: Apache-2.0 */
/* The log, in pages that the VMM finds by their mark. They are shared with children, so that what a child writes is there. */
#ifndef LOG_H
#define LOG_H

#include "linux/abi.h"

/* 0 where there is no memory for it. */
int log_start(const struct wcvmm_linux_questions *questions, wcvmm_u64 boot_ns);

/* The control: memory of the program's own, behind the mark of a page that is not part of the log. */
wcvmm_u64 log_control(void);

void log_running(wcvmm_u32 cell);
/* Where the record of the cell under way is written; it counts once log_counted() says so. */
struct wcvmm_record *log_record(wcvmm_u32 cell);
void log_counted(wcvmm_u32 cell);

void log_text(const char *text, wcvmm_u64 length);

#endif
