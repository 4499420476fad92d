/** What kinds of machine can be emulated: the architecture, and the vendor where nested paging depends on it. */
export const MACHINES = ['arm64', 'x86-amd', 'x86-intel'] as const;

export type MachineName = (typeof MACHINES)[number];
