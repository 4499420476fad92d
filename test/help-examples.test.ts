import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { buildProgram } from '../tool/cli/commands/program.ts';
import { defineCommand, everyCommand } from '../tool/cli/help/definitions.ts';

/** The wcvmm command lines in a line of shell; what two spaces set apart is a remark. */
function commandLines(line: string): readonly (readonly string[])[] {
  const [code = ''] = line.split(/ {2,}|\s#/);
  return code.split(/[|>()]|<\(|&&/).flatMap((part) => {
    const words = part.trim().split(/\s+/);
    return words[0] === 'wcvmm' ? [words.slice(1)] : [];
  });
}

function withoutActions(command: Command): void {
  if (command.registeredArguments.length > 0 || command.commands.length === 0) command.action(() => {});
  command.configureOutput({ writeErr: () => {}, writeOut: () => {} });
  for (const sub of command.commands) withoutActions(sub);
}

/** What commander says of a command line, without doing anything. */
async function mistakeIn(words: readonly string[]): Promise<string | null> {
  const program = await buildProgram([]);
  withoutActions(program);
  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  // What runs inside of a testbed is a command line of wcvmm's too.
  const inner = words[0] === 'testbed' && words[1] === 'run' ? words.indexOf('--') : -1;
  return inner < 0 ? null : mistakeIn(words.slice(inner + 1));
}

const commands = everyCommand(defineCommand(await buildProgram([])));

describe('examples are command lines that wcvmm takes', () => {
  const examples = commands.flatMap(({ after }) =>
    [...after.matchAll(/^ {2}\$ (.*)$/gm)].flatMap(([, line]) => commandLines(line ?? '')),
  );

  test.each([...new Set(examples.map((words) => words.join(' ')))])('--help: wcvmm %s', async (line) => {
    expect(await mistakeIn(line.split(' '))).toBeNull();
  });

  test.each(
    commands.filter(({ subcommands }) => subcommands.length === 0).map(({ path, after }) => [path.join(' '), after]),
  )('%s says how it ends', (_name, after) => {
    expect(after).toMatch(/[Ee]xit codes?\b/);
  });

  const pages = [
    'README.md',
    ...readdirSync(join(projectRoot, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  test.each(pages)('%s', async (page) => {
    const text = readFileSync(join(projectRoot, page), 'utf8');
    const fenced = [...text.matchAll(/^```sh.*\n([^]*?)^```$/gm)].flatMap(([, block]) => (block ?? '').split('\n'));
    const inline = [...text.matchAll(/`(wcvmm [^`]*)`/g)].map(([, code]) => code ?? '');
    const lines = [...fenced, ...inline]
      .flatMap(commandLines)
      .map((words) => words.map((word) => word.replace(/^["']|["',]$/g, '')));
    const mistakes = await Promise.all(lines.map(async (words) => [words.join(' '), await mistakeIn(words)] as const));
    // A command that is only named, as in `wcvmm bind`, lacks its arguments.
    expect(
      mistakes.filter(
        ([line, mistake]) =>
          mistake !== null &&
          line !== '--version' &&
          !(line.split(' ').length <= 2 && /missing required argument|\(outputHelp\)/.test(mistake)),
      ),
    ).toEqual([]);
  });
});
