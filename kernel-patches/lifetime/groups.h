/* SPDX-License-Identifier: GPL-2.0-only */
/* What is checked, in the order of main.c; each in a file of its name. */
#ifndef LIFETIME_GROUPS_H
#define LIFETIME_GROUPS_H

void no_cookies_group(void);
void errors_group(void);
void regions_group(void);
void show_group(void);
void revoke_group(void);
void vma_group(void);
void process_group(void);
void unbind_group(void);
void two_files_group(void);
void dma_buf_group(void);
void large_group(void);

#endif
