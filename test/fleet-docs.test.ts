import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { parseProfile } from '../tool/fleet/profile.ts';

const fleet = join(projectRoot, 'fleet');
const page = readFileSync(join(projectRoot, 'docs/fleet.md'), 'utf8');

test('the profile on the page is the one that the package has, and is one', () => {
  const example = readFileSync(join(fleet, 'ansible/profile.json'), 'utf8');
  expect(page).toContain(`\`\`\`json\n${example}\`\`\``);
  expect(Object.keys(parseProfile(example).kinds)).toEqual(['arm64', 'x86-amd']);
});

test("every variable that the page explains is one of the role's, and the other way round but for where things are", () => {
  const defaults = readFileSync(join(fleet, 'ansible/roles/wcvmm/defaults/main.yml'), 'utf8');
  const named = new Set([...page.matchAll(/`(wcvmm_\w+)/g)].map(([, name]) => name));
  const known = [...defaults.matchAll(/^(wcvmm_\w+):/gm)].map(([, name]) => name);
  expect([...named].filter((name) => !known.includes(name ?? ''))).toEqual([]);
  expect(known.filter((name) => !named.has(name))).toEqual([
    'wcvmm_reboot_command',
    'wcvmm_reboot_timeout',
    'wcvmm_reports',
    'wcvmm_profile',
    'wcvmm_command',
    'wcvmm_node_command',
    'wcvmm_node_state',
    'wcvmm_node_script',
  ]);
});

const scripts = [
  'node/wcvmm-node',
  'slurm/health',
  'slurm/wcvmm.sbatch',
  'ansible/roles/wcvmm/files/install',
  'ansible/roles/wcvmm/files/install-kernel',
];

test.each(scripts)('%s is a shell script without errors of syntax', (name) => {
  expect(spawnSync('sh', ['-n', join(fleet, name)], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
});

test('there are no manifests for Kubernetes, and the page says so', () => {
  expect(readdirSync(fleet).toSorted()).toEqual(['ansible', 'node', 'slurm']);
  expect(page).toContain('There are no manifests here');
});

test('the package has all of it', () => {
  const listed = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: projectRoot, encoding: 'utf8' }),
  ) as [{ files: { path: string }[] }];
  const files = listed[0].files.map(({ path }) => path);
  for (const name of [
    ...scripts,
    'ansible/site.yml',
    'ansible/inventory/hosts.yml',
    'ansible/roles/wcvmm/tasks/main.yml',
  ])
    expect(files).toContain(`fleet/${name}`);
  for (const name of ['docs/fleet.md', 'docs/profile.schema.json']) expect(files).toContain(name);
});

const PLAYBOOK = '/usr/bin/ansible-playbook';

describe.skipIf(!existsSync(PLAYBOOK))(`Ansible (skipped without ${PLAYBOOK})`, () => {
  test('takes the playbook and the inventory as they are', () => {
    const options = { cwd: join(fleet, 'ansible'), encoding: 'utf8' } as const;
    expect(spawnSync(PLAYBOOK, ['--syntax-check', 'site.yml'], options).status).toBe(0);
    const hosts = spawnSync(PLAYBOOK, ['--list-hosts', 'site.yml'], options).stdout;
    expect(hosts).toMatch(/arm-1\s+amd-1|amd-1\s+arm-1/);
    expect(hosts).toContain('localhost');
  });
});
