// SPDX-License-Identifier: Apache-2.0
// Bochs can keep the state of its machine, and offers that in a window's menu only. Preloaded, this gives its
// debugger a command for it:   save-state FOLDER   answers "state saved" or "state not saved".
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char command[] = "save-state ";

/* SIM->save_state(folder), by the names that Bochs exports for its plugins. */
static bool save_state(const char *folder)
{
	void **simulator = dlsym(RTLD_DEFAULT, "SIM");
	bool (*save)(void *, const char *) = (bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "_ZN13bx_real_sim_c10save_stateEPKc");

	return simulator && *simulator && save && save(*simulator, folder);
}

/* Where Bochs gets its debugger's commands from. */
char *readline(const char *prompt)
{
	char *(*next)(const char *) = (char *(*)(const char *))dlsym(RTLD_NEXT, "readline");

	for (;;) {
		char *line = next ? next(prompt) : NULL;

		if (!line || strncmp(line, command, strlen(command)))
			return line;
		printf("%s\n", save_state(line + strlen(command)) ? "state saved" : "state not saved");
		fflush(stdout);
		free(line);
	}
}
