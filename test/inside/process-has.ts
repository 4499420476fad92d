import { existsSync, readFileSync, readdirSync } from 'node:fs';

const INSTANCES = '/sys/kernel/tracing/instances';

/** What the kernel says that this process has: open files by target, mappings of devices and shared memory, trace buffers. */
export function processHas(): readonly string[] {
  const files = readdirSync('/proc/self/fd').length;
  const mappings = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => /vfio|kvm|\/dev\/zero|memfd/.test(line));
  const instances = existsSync(INSTANCES)
    ? readdirSync(INSTANCES).filter((name) => name.startsWith(`wcvmm-${process.pid}-`))
    : [];
  return [`${files} files`, ...mappings, ...instances];
}
