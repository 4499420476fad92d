import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { startBochs } from '../testbed/bochs/start.ts';
import type { Ended } from '../testbed/emulator.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  vi.stubEnv('XDG_CACHE_HOME', folder);
  for (const name of ['kernel', 'initramfs', 'disk']) writeFileSync(join(folder, name), name);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Talks as Bochs and an instance on it do; `restore` and `save` are what it does with a state. */
function fakeBochs(restore: string, save: string): void {
  const script = `#!/bin/sh
echo "$*" >>${folder}/starts
frame() { printf "\\036\\00$1\\00$2\\000\\000\\000%s" "$3"; }
prompt() { printf '<bochs:1> '; read -r word path; }
case $* in
*-r*) ${restore} ;;
*)
	prompt
	echo 'Magic breakpoint'
	prompt
	while [ "$word" = save-state ]; do ${save}; prompt; done
	;;
esac
frame 3 3 'up
'
frame 0 2 ok
frame 3 7 'exit 5
'
`;
  writeFileSync(join(folder, 'bochs-bin'), script);
  chmodSync(join(folder, 'bochs-bin'), 0o755);
  // Bochs is another user where this is root.
  writeFileSync(join(folder, 'starts'), '');
  chmodSync(join(folder, 'starts'), 0o666);
  chmodSync(folder, 0o755);
}

const goodSave =
  'touch "$path/memory.ram" "$path/hard_drive.1.drive0.image"; echo "com1: enabled=true, mode=file" >"$path/config"; echo state saved';

async function session(): Promise<{ ended: Ended; output: string; starts: string[] }> {
  const share = mkdtempSync(join(folder, 'session-'));
  mkdirSync(join(share, 'work'));
  writeFileSync(join(share, 'command'), 'exec true\n');
  writeFileSync(join(folder, 'starts'), '');
  let output = '';
  const emulator = await startBochs(
    { cpu: 'model', append: 'quiet', version: '2.7', args: [] },
    {
      files: {
        kernel: join(folder, 'kernel'),
        initramfs: join(folder, 'initramfs'),
        disk: join(folder, 'disk'),
        share,
      },
      command: { args: ['true'], env: {}, interactive: false },
      options: { cpu: null, iommu: true, memory: 64, processors: null },
      emulator: 'bochs-2.7',
      listeners: { stdout: (chunk) => (output += Buffer.from(chunk).toString()), stderr: () => {}, up: () => {} },
      signal: new AbortController().signal,
    },
  );
  const ended = await emulator.ended;
  return { ended, output, starts: readFileSync(join(folder, 'starts'), 'utf8').trimEnd().split('\n') };
}

const done = { ended: { up: true, exitCode: 5 }, output: 'ok' };

it('boots once, keeps the state without the job, and goes on from it', async () => {
  fakeBochs('prompt', goodSave);
  expect(await session()).toMatchObject({ ...done, starts: ['-q -f bochsrc'] });
  const [state = ''] = readdirSync(join(folder, 'wcvmm/bochs-state'));
  expect(readdirSync(join(folder, 'wcvmm/bochs-state', state)).sort()).toEqual(['config', 'memory.ram']);
  expect(await session()).toMatchObject({ ...done, starts: ['-q -r state'] });
});

it('boots when the state does not work, and replaces it', async () => {
  fakeBochs('prompt', goodSave);
  await session();
  fakeBochs('echo "cannot restore"; exit 1', goodSave);
  expect(await session()).toMatchObject({ ...done, starts: ['-q -r state', '-q -f bochsrc'] });
  fakeBochs('prompt', goodSave);
  expect(await session()).toMatchObject({ ...done, starts: ['-q -r state'] });
});

it('does its work where no state can be kept', async () => {
  fakeBochs('exit 1', 'echo state not saved');
  for (let time = 0; time < 2; time += 1) expect(await session()).toMatchObject({ ...done, starts: ['-q -f bochsrc'] });
  expect(existsSync(join(folder, 'wcvmm/bochs-state')) ? readdirSync(join(folder, 'wcvmm/bochs-state')) : []).toEqual(
    [],
  );
});
