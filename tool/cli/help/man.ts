/** Man pages (man(7)) from the definitions that --help is made from. */
import type { CommandDefinition } from './definitions.ts';

/** `wcvmm-testbed-run`, for wcvmm-testbed-run.1. */
export function pageName({ path }: CommandDefinition): string {
  return path.join('-');
}

/** No text may be taken for a request or an escape; a hyphen of an option must stay one. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');
}

function tagged(term: string, text: string): readonly string[] {
  return ['.TP', `.B ${roff(term)}`, roff(text)];
}

/** The headings of --help's last part ("Examples:", "Exit codes: …") become sections; what is indented stays as it is. */
function afterSections(after: string): readonly string[] {
  return after.split(/\n{2,}/).flatMap((block) => {
    const exit = /^Exit codes?: (.*)$/s.exec(block);
    if (exit !== null) return ['.SH EXIT STATUS', roff(exit[1] ?? '')];
    const examples = /^Examples:\n(.*)$/s.exec(block);
    if (examples !== null) return ['.SH EXAMPLES', '.nf', roff((examples[1] ?? '').replaceAll(/^ {2}/gm, '')), '.fi'];
    return ['.PP', roff(block)];
  });
}

/** What the other pages that one might want are: the parent's and the children's. */
function related({ path, subcommands }: CommandDefinition): readonly string[] {
  const names = [...(path.length > 1 ? [path.slice(0, -1).join('-')] : []), ...subcommands.map(pageName)];
  return names.length === 0 ? [] : ['.SH SEE ALSO', names.map((name) => `.BR ${roff(name)} (1)`).join(' ,\n')];
}

export function manPage(definition: CommandDefinition, version: string): string {
  const { path, description, usage, options, subcommands, arguments: positional } = definition;
  const described = positional.filter((argument) => argument.description !== '');
  const lines = [
    `.TH ${roff(pageName(definition).toUpperCase())} 1 "" "wcvmm ${roff(version)}" "wcvmm"`,
    '.SH NAME',
    `${roff(pageName(definition))} \\- ${roff(description)}`,
    '.SH SYNOPSIS',
    `.B ${roff(path.join(' '))}`,
    roff(usage.slice(path.join(' ').length).trim()),
    ...(subcommands.length === 0
      ? []
      : ['.SH COMMANDS', ...subcommands.flatMap((sub) => tagged(sub.path.at(-1) ?? '', sub.description))]),
    ...(described.length === 0
      ? []
      : ['.SH ARGUMENTS', ...described.flatMap((argument) => tagged(argument.name, argument.description))]),
    ...(options.length === 0
      ? []
      : ['.SH OPTIONS', ...options.flatMap((option) => tagged(option.term, option.description))]),
    ...afterSections(definition.after),
    ...related(definition),
  ];
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}
