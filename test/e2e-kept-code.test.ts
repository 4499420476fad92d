/** V8's code of the command line in an emulated instance: made once, taken there by the Node that it is for, and only with its flags. */
import { expect, test } from 'vitest';
import { V8_FLAGS } from '../testbed/rootfs/code.ts';
import { findings, inTestbed } from './support.ts';

const SCRIPT = '/wcvmm/dist/test/inside/kept-code.js';

test.each(['arm64', 'x86-amd'])(
  'an instance of %s has the code that verify needs, and V8 takes all of it',
  async (arch) => {
    const version = await inTestbed({ arch, run: { kind: 'wcvmm', args: ['--version'] } });
    expect(version.code).toBe(0);
    const asked = `node ${V8_FLAGS.join(' ')} ${SCRIPT}; node ${SCRIPT}`;
    const { stdout } = await inTestbed({ arch, run: { kind: 'program', args: ['sh', '-c', asked] } });
    const [withFlags = '', without = ''] = stdout.split('\n');
    const taken = findings(withFlags).get('taken') as Record<string, boolean>;
    expect(Object.keys(taken).some((name) => name.startsWith('verify-'))).toBe(true);
    expect(new Set(Object.values(taken))).toEqual(new Set([true]));
    expect(new Set(Object.values(findings(without).get('taken') as Record<string, boolean>))).toEqual(new Set([false]));
  },
);
