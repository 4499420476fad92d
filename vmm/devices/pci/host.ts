/**
 * The PCI host bridge in a vCPU's thread: bus 0 with its functions, and the windows in which their BARs are. Whatever a guest
 * does here is answered: what nobody has reads as all ones, and stores to it go nowhere.
 */
import { runAll } from '../../../common/scope.ts';
import { exclusively } from '../../bus/shared.ts';
import type { Port } from '../../sys/port.ts';
import type { BarWindow } from './bar.ts';
import { PciFunction } from './function.ts';
import { NOWHERE } from './options.ts';
import type { PciHostOptions } from './options.ts';
import { placeBars } from './placement.ts';
import { EXPRESS_CONFIG_SPACE } from './registers.ts';

const LOCK = 0;

export class PciHost {
  readonly #lock: Int32Array<SharedArrayBuffer>;
  readonly #options: PciHostOptions;
  readonly #functions: readonly PciFunction[];

  constructor(port: Port, options: PciHostOptions) {
    this.#lock = new Int32Array(options.lock);
    this.#options = options;
    this.#functions = options.functions.map((one) => new PciFunction(port, options, one));
  }

  /** @param at devfn << 12 | offset; an access may be of any width, and anywhere */
  readConfig(at: number, length: number, data: DataView): void {
    const into = new Uint8Array(data.buffer, data.byteOffset, length).fill(0xff);
    exclusively(this.#lock, LOCK, () => {
      for (const { of, offset, from, to } of this.#inFunctions(at, length))
        of.readConfig(offset, into.subarray(from, to));
    });
  }

  writeConfig(at: number, length: number, data: DataView): void {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, length);
    exclusively(this.#lock, LOCK, () => {
      let mayMove = false;
      for (const { of, offset, from, to } of this.#inFunctions(at, length)) {
        if (of.writeConfig(offset, bytes.subarray(from, to))) mayMove = true;
      }
      if (mayMove) this.#move();
    });
  }

  readMemory(address: number, length: number, data: DataView): void {
    new Uint8Array(data.buffer, data.byteOffset, length).fill(0xff);
    this.#accessMemory(address, length, data, (of, window, offset, size, part) =>
      of.readBar(window, offset, size, part),
    );
  }

  writeMemory(address: number, length: number, data: DataView): void {
    this.#accessMemory(address, length, data, (of, window, offset, size, part) =>
      of.writeBar(window, offset, size, part),
    );
  }

  /** All functions as after power-on. No vCPU may run. */
  reset(): void {
    for (const one of this.#functions) one.removeBars();
    for (const one of this.#functions) one.reset();
  }

  /** Ends what the functions hold: memslots, irqfds, eventfds. No vCPU may run; the others' ends run even if one fails. */
  close(): void {
    runAll(this.#functions.map((one) => () => one.close()));
  }

  #inFunctions(
    at: number,
    length: number,
  ): { readonly of: PciFunction; readonly offset: number; readonly from: number; readonly to: number }[] {
    const parts = [];
    for (let from = 0; from < length;) {
      const offset = (at + from) % EXPRESS_CONFIG_SPACE;
      const to = Math.min(length, from + EXPRESS_CONFIG_SPACE - offset);
      const devfn = (at + from - offset) / EXPRESS_CONFIG_SPACE;
      const of = this.#functions.find(({ options }) => options.devfn === devfn);
      if (of !== undefined) parts.push({ of, offset, from, to });
      from = to;
    }
    return parts;
  }

  /** Every memslot that has to go is gone before the first one comes. */
  #move(): void {
    const wanted = placeBars(this.#functions, this.#options.windows);
    const moved: {
      readonly of: PciFunction;
      readonly window: BarWindow;
      readonly index: number;
      readonly to: number;
    }[] = [];
    for (const [number, of] of this.#functions.entries()) {
      for (const [index, window] of of.windows.entries()) {
        const to = wanted[number]?.[index] ?? NOWHERE;
        if (of.placed[index] === to) continue;
        window.remove(of.placed[index] ?? NOWHERE);
        of.placed[index] = NOWHERE;
        moved.push({ of, window, index, to });
      }
    }
    for (const { of, window, index, to } of moved) {
      if (to === NOWHERE) continue;
      of.placed[index] = to;
      window.add(to);
    }
  }

  /** In the largest parts that are aligned, so that each one is in a BAR, and in a table, or is not. */
  #accessMemory(
    address: number,
    length: number,
    data: DataView,
    access: (of: PciFunction, window: BarWindow, offset: number, length: number, data: DataView) => void,
  ): void {
    exclusively(this.#lock, LOCK, () => {
      for (let done = 0; done < length;) {
        const at = address + done;
        const size = [8, 4, 2].find((bytes) => bytes <= length - done && at % bytes === 0) ?? 1;
        const found = this.#barAt(at);
        const part = new DataView(data.buffer, data.byteOffset + done, size);
        if (found !== null) access(found.of, found.window, at - found.base, size, part);
        done += size;
      }
    });
  }

  #barAt(address: number): { readonly of: PciFunction; readonly window: BarWindow; readonly base: number } | null {
    for (const of of this.#functions) {
      for (const [index, window] of of.windows.entries()) {
        const base = of.placed[index] ?? NOWHERE;
        if (base !== NOWHERE && address >= base && address < base + window.options.size) return { of, window, base };
      }
    }
    return null;
  }
}
