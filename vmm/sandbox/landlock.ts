/** Landlock (Documentation/userspace-api/landlock.rst): a ruleset that handles everything, and allows nothing. */

/** LANDLOCK_RESTRICT_SELF_TSYNC. */
export const ALL_THREADS = 1 << 3;
const ALL_THREADS_SINCE = 8;

/** LANDLOCK_ACCESS_FS_*: how many of them, from bit 0 on, each ABI version knows. */
function fileRights(abi: number): number {
  if (abi >= 5) return 16;
  if (abi >= 3) return 15;
  return abi === 2 ? 14 : 13;
}

/** struct landlock_ruleset_attr has no more fields than the ABI knows. Null where there is no Landlock. */
export function rulesetOf(abi: number): { readonly attributes: Uint8Array; readonly flags: number } | null {
  if (abi < 1) return null;
  const files = (1n << BigInt(fileRights(abi))) - 1n;
  const [bindAndConnectTcp, abstractSockets] = [3n, 1n];
  const fields = [files, ...(abi >= 4 ? [bindAndConnectTcp] : []), ...(abi >= 6 ? [abstractSockets] : [])];
  const attributes = new Uint8Array(new BigUint64Array(fields).buffer);
  return { attributes, flags: abi >= ALL_THREADS_SINCE ? ALL_THREADS : 0 };
}
