/** Changes to sysfs that are made all or not at all: each step knows how it is taken back. */
import { setImmediate } from 'node:timers/promises';
import { dirname } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { PCI_DRIVERS, pciFolder } from '../../../vmm/sys/pci.ts';
import { SysError, isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

export type Action =
  | { readonly kind: 'write'; readonly path: string; readonly text: string }
  /** A file of wcvmm's own, and its folder if that is missing. */
  | { readonly kind: 'create'; readonly path: string; readonly text: string }
  | { readonly kind: 'remove'; readonly path: string }
  /** Takes the device from `driver`, if that has it. */
  | { readonly kind: 'release'; readonly driver: string; readonly address: string }
  /** Gives the device to `driver`, unless that has it. */
  | { readonly kind: 'bind'; readonly driver: string; readonly address: string };

export interface Step {
  readonly action: Action;
  readonly undo: Action | null;
}

export function boundTo(port: Port, address: string): string | null {
  return port.linkName(`${pciFolder(address)}/driver`);
}

function perform(port: Port, action: Action): void {
  switch (action.kind) {
    case 'write':
      port.writeText(action.path, action.text);
      return;
    case 'create':
      ensureFolder(port, dirname(action.path));
      port.writeText(action.path, action.text);
      return;
    case 'remove':
      if (port.exists(action.path)) port.removeFile(action.path);
      return;
    case 'release':
      if (boundTo(port, action.address) === action.driver)
        port.writeText(`${PCI_DRIVERS}/${action.driver}/unbind`, action.address);
      return;
    case 'bind':
      if (boundTo(port, action.address) !== action.driver)
        port.writeText(`${PCI_DRIVERS}/${action.driver}/bind`, action.address);
  }
}

function ensureFolder(port: Port, path: string): void {
  if (port.exists(path)) return;
  ensureFolder(port, dirname(path));
  try {
    port.makeFolder(path);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** The same as a shell command. */
export function shellCommand(action: Action): string {
  switch (action.kind) {
    case 'write':
      return `${['echo', action.text].join(' ').trim()} > ${action.path}`;
    case 'create':
      return `mkdir -p ${dirname(action.path)} && echo '${action.text.trim()}' > ${action.path}`;
    case 'remove':
      return `rm -f ${action.path}`;
    case 'release':
      return `echo ${action.address} > ${PCI_DRIVERS}/${action.driver}/unbind`;
    case 'bind':
      return `echo ${action.address} > ${PCI_DRIVERS}/${action.driver}/bind`;
  }
}

/**
 * Takes the steps in order and then calls `requireDrivers`, which throws if the drivers are not those that were wanted. Whatever fails,
 * and when `signal` aborts between two steps, the steps so far are taken back in reverse.
 */
export async function takeSteps(
  port: Port,
  steps: readonly Step[],
  requireDrivers: () => void,
  signal: AbortSignal,
): Promise<void> {
  const undo: Action[] = [];
  try {
    for (const { action, undo: back } of steps) {
      // Lets a Ctrl-C that came meanwhile be handled.
      await setImmediate();
      signal.throwIfAborted();
      // A step that failed may have been taken in part, and one that was not taken must be no harm to undo.
      if (back !== null) undo.push(back);
      perform(port, action);
    }
    await setImmediate();
    signal.throwIfAborted();
    requireDrivers();
  } catch (error) {
    const stuck = undo.toReversed().flatMap((action) => takeBack(port, action));
    const what: unknown = error instanceof SysError ? refused(error) : error;
    if (stuck.length === 0) throw what;
    throw new WcvmmError(
      'E_BIND',
      `${what instanceof Error ? what.message : String(what)} These steps could not be undone: ${stuck.join('; ')}. Run them by hand.`,
      { cause: error },
    );
  }
}

function takeBack(port: Port, action: Action): readonly string[] {
  try {
    perform(port, action);
    return [];
  } catch {
    return [shellCommand(action)];
  }
}

function refused(error: SysError): WcvmmError {
  const { call, message } = error;
  if (isErrno(error, 'EACCES', 'EPERM'))
    return new WcvmmError(
      'E_PERMISSION',
      `this user may not change which driver has a device (${call}). Run as root; nothing was changed.`,
      { cause: error },
    );
  return new WcvmmError(
    'E_BIND',
    `the kernel refused to change the device's driver (${message}). Everything was restored; dmesg may say why.`,
    { cause: error },
  );
}
