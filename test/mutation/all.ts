/** All test files of a group as one, so that what they have in common is loaded once for a mutant. */
import { inject } from 'vitest';

for (const file of inject('files')) await import(/* @vite-ignore */ file);
