import { SIZE_OF, encodeCells } from '../guest/abi.ts';
import type { Cell } from '../guest/abi.ts';

/** tool/verify/linux/abi.h in TypeScript; test/linux-abi.test.ts compiles it and compares. Sizes and offsets are bytes. */
export const LINUX_ABI = {
  magic: 0x314c_4d56_4357_0000n,
  maxWindows: 17,
  maxText: 0x8000,
  pageSize: 4096,
  content: 4032,
  resource: 0,
  resourceWc: 1,
  notOpened: 0x1_0000n,
  notMapped: 0x2_0000n,
  notListed: 0x3_0000n,
  bootNs: 0,
  textLength: 1,
} as const;

/** A file of the initramfs. */
export const QUESTIONS_PATH = 'questions';

export const QUESTIONS_AT = { magic: 0, mark: 8, windowCount: 24, cellCount: 28, windows: 32, cells: 576 } as const;
export const LINUX_WINDOW_AT = { device: 0, bar: 16, offset: 24 } as const;
export const PAGE_AT = { mark: 0, index: 16, pageCount: 20, content: 64 } as const;
export const LINUX_WINDOW_SIZE = 32;

/** A window as the guest knows it: bytes of a BAR of a device of its own; null: the control. */
export type LinuxWindow = { readonly device: string; readonly bar: number; readonly offset: bigint } | null;

/** Two random numbers, by whose complements log pages are found. */
export type Mark = readonly [bigint, bigint];

/** `struct wcvmm_linux_questions` and its cells, whose `stage1` is LINUX_ABI.resource or resourceWc. */
export function encodeQuestions(mark: Mark, windows: readonly LinuxWindow[], cells: readonly Cell[]): Uint8Array {
  if (windows.length > LINUX_ABI.maxWindows)
    throw new RangeError(`${windows.length} windows, at most ${LINUX_ABI.maxWindows} fit`);
  const bytes = new Uint8Array(QUESTIONS_AT.cells + cells.length * SIZE_OF.cell);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(QUESTIONS_AT.magic, LINUX_ABI.magic, true);
  for (const [index, part] of mark.entries()) view.setBigUint64(QUESTIONS_AT.mark + index * 8, part, true);
  view.setUint32(QUESTIONS_AT.windowCount, windows.length, true);
  view.setUint32(QUESTIONS_AT.cellCount, cells.length, true);
  for (const [index, window] of windows.entries()) {
    if (window === null) continue;
    const at = QUESTIONS_AT.windows + index * LINUX_WINDOW_SIZE;
    bytes.set(Buffer.from(window.device), at + LINUX_WINDOW_AT.device);
    view.setUint32(at + LINUX_WINDOW_AT.bar, window.bar, true);
    view.setBigUint64(at + LINUX_WINDOW_AT.offset, window.offset, true);
  }
  bytes.set(encodeCells(cells), QUESTIONS_AT.cells);
  return bytes;
}
