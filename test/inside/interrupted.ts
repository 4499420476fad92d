/**
 * Runs inside a testbed. Binds a device (the first argument) that the kernel uses, and sends itself SIGINT at each write in turn;
 * then interrupts a verify of another one (the second) as soon as its VM is there. Tells what is left.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { interruptible } from '../../common/interrupt.ts';
import { planBind } from '../../tool/host/devices/bind.ts';
import { boundTo, takeSteps } from '../../tool/host/devices/steps.ts';
import { WcvmmError } from '../../common/errors.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { tell } from './report.ts';

const [, , used = '', free = ''] = process.argv;
const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));

async function bindUntil(write: number): Promise<string> {
  let writes = 0;
  const port: Port = {
    ...libcPort,
    writeText(path, text) {
      libcPort.writeText(path, text);
      writes += 1;
      if (writes === write) process.kill(process.pid, 'SIGINT');
    },
  };
  const { steps, requireDrivers } = planBind(port, used, { force: false, group: false });
  try {
    await interruptible((signal) => takeSteps(port, steps, requireDrivers, signal));
    return 'not interrupted';
  } catch (error) {
    return error instanceof WcvmmError ? error.code : String(error);
  }
}

for (let write = 1; write <= 4; write += 1) {
  const code = await bindUntil(write);
  const override = libcPort.readText(`/sys/bus/pci/devices/${used}/driver_override`).trim();
  const left = existsSync('/run/wcvmm') ? readdirSync('/run/wcvmm').length : 0;
  tell(`bind ${write}`, `${code} ${boundTo(libcPort, used)} ${override} ${left}`);
}

const virtualMachines = (): readonly string[] =>
  readdirSync('/sys/kernel/debug/kvm').filter((name) => /^\d+-\d+$/.test(name));
const traces = (): readonly string[] =>
  existsSync('/sys/kernel/tracing/instances') ? readdirSync('/sys/kernel/tracing/instances') : [];

const child = spawn(process.execPath, [cli, 'verify', '-d', free, '--json', 'report.json'], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
const ended = once(child, 'exit');
while (virtualMachines().length === 0 && child.exitCode === null) await setImmediate();
child.kill('SIGINT');
await ended;
tell(
  'verify',
  `${child.exitCode} ${virtualMachines().length} ${traces().length} ${readdirSync('.').filter((name) => name.startsWith('report')).length}`,
);
tell('verify again', spawnSync(process.execPath, [cli, 'doctor', '-d', free]).status ?? -1);
