import { setGsiRouting } from '../../sys/kvm-irq.ts';
import type { GsiRoute } from '../../sys/kvm-irq.ts';
import type { Port } from '../../sys/port.ts';
import { VECTOR, vectorWord } from './vectors.ts';
import type { InterruptOptions, PciHostOptions } from './options.ts';

/** Gives KVM all routes that there are now. No irqfd may be assigned for one that changes. */
export function installRoutes(port: Port, { vm, fixedRoutes, functions }: PciHostOptions): void {
  const routes = functions.flatMap(({ interrupts }) => (interrupts === null ? [] : messageRoutes(interrupts)));
  setGsiRouting(port, vm, [...fixedRoutes, ...routes]);
}

function messageRoutes({ state, vectors, gsi, deviceId }: InterruptOptions): readonly GsiRoute[] {
  const words = new Int32Array(state);
  const routes: GsiRoute[] = [];
  for (let vector = 0; vector < vectors; vector += 1) {
    const word = (which: keyof typeof VECTOR): number => (words[vectorWord(vector, which)] ?? 0) >>> 0;
    if (word('isRouted') === 0) continue;
    const address = (BigInt(word('addressHigh')) << 32n) | BigInt(word('addressLow'));
    routes.push({ gsi: gsi + vector, kind: 'msi', address, data: word('data'), deviceId });
  }
  return routes;
}
