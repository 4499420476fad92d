import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Scope } from '../common/scope.ts';
import { WcvmmError } from '../common/errors.ts';
import { VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS } from '../vmm/sys/vfio-irq.ts';
import { abortWhenLost } from '../vmm/vfio/notices.ts';
import type { VfioDevice } from '../vmm/vfio/device.ts';
import { stubPort } from './stub-port.ts';

const DEVICE = { pci: { address: '0000:01:00.0' }, fd: 77 } as unknown as VfioDevice;
const [ERROR, REQUEST] = [3, 4];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A kernel that has the notices of `indexes`, and signals those that the test puts into `signalled`. */
function kernel(indexes: readonly number[]) {
  const eventfds = new Map<number, number>();
  const signalled = new Set<number>();
  const stub = stubPort({
    ioctls: {
      [VFIO_DEVICE_GET_IRQ_INFO]: (argument) => {
        const view = new DataView((argument as Uint8Array).buffer);
        view.setUint32(12, indexes.includes(view.getUint32(8, true)) ? 1 : 0, true);
      },
      [VFIO_DEVICE_SET_IRQS]: (argument) => {
        const view = new DataView((argument as Uint8Array).buffer);
        eventfds.set(view.getUint32(8, true), view.getInt32(20, true));
      },
    },
  });
  const read: typeof stub.port.read = (fd, into) => {
    const found = [...eventfds].find(([index, eventfd]) => eventfd === fd && signalled.delete(index));
    return found === undefined ? stub.port.read(fd, into) : into.byteLength;
  };
  return { ...stub, port: { ...stub.port, read }, eventfds, signalled };
}

describe('a device that somebody else has a word about', () => {
  it.each([
    ['unbinds', REQUEST, /somebody unbinds or removes it: the guest was stopped/],
    ['an error', ERROR, /an error that cannot be corrected/],
  ])('%s: its guest is to stop, and is told why', (_name, index, sentence) => {
    const { port, signalled } = kernel([ERROR, REQUEST]);
    const signal = abortWhenLost(port, new Scope(), [DEVICE]);
    vi.advanceTimersByTime(10_000);
    expect(signal.aborted).toBe(false);
    signalled.add(index);
    vi.advanceTimersByTime(1000);
    expect(signal.reason).toBeInstanceOf(WcvmmError);
    expect(signal.reason).toMatchObject({ code: 'E_DEVICE_LOST', message: expect.stringMatching(sentence) });
  });

  it('Ctrl-C keeps its own reason', () => {
    const controller = new AbortController();
    const { port } = kernel([REQUEST]);
    const signal = abortWhenLost(port, new Scope(), [DEVICE], controller.signal);
    controller.abort('Ctrl-C');
    expect(signal.reason).toBe('Ctrl-C');
  });

  it('a device has only the notices that VFIO says it has', () => {
    const { port, eventfds } = kernel([REQUEST]);
    abortWhenLost(port, new Scope(), [DEVICE]);
    expect([...eventfds.keys()]).toEqual([REQUEST]);
    const silent = stubPort({});
    abortWhenLost(silent.port, new Scope(), [DEVICE]);
    expect([silent.open.size, vi.getTimerCount()]).toEqual([0, 1]);
  });

  it('nothing is left when the scope closes', () => {
    const { port, open } = kernel([ERROR, REQUEST]);
    const scope = new Scope();
    abortWhenLost(port, scope, [DEVICE, DEVICE]);
    expect([open.size, vi.getTimerCount()]).toEqual([4, 1]);
    scope.close();
    expect([open.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
