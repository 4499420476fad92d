/** Completion for zsh: one function for each command, made of _arguments' specifications (zshcompsys(1)). */
import type { ArgumentDefinition, CommandDefinition, OptionDefinition, ValueKind } from './definitions.ts';
import { everyCommand } from './definitions.ts';

function functionName(path: readonly string[]): string {
  return `_${path.join('_')}`;
}

/** Inside '…', where _arguments takes brackets and colons for its own. */
function quoted(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, '\\$&');
}

function action(of: ValueKind): string {
  switch (of.kind) {
    case 'words':
      return `(${of.words.join(' ')})`;
    case 'device':
      return '__wcvmm_addresses';
    case 'file':
      return '_files';
    case 'free':
      return ' ';
  }
}

function optionSpec({ short, long, description, value, repeatable }: OptionDefinition): string {
  const names = short === null ? long : `{${short},${long}}`;
  const exclusion = repeatable ? '*' : `(${[short, long].filter((name) => name !== null).join(' ')})`;
  const takes = value === null ? '' : `:${value.optional ? ':' : ''}${quoted(value.name)}:${action(value.of)}`;
  // Braces are expanded by the shell, so they stand outside of the quotes.
  return short === null
    ? `'${exclusion}${names}[${quoted(description)}]${takes}'`
    : `'${exclusion}'${names}'[${quoted(description)}]${takes}'`;
}

function argumentSpec({ name, variadic, of }: ArgumentDefinition): string {
  return `'${variadic ? '*' : ''}:${quoted(name)}:${action(of)}'`;
}

function commandFunction({ path, options, subcommands, arguments: positional }: CommandDefinition): string {
  const specs = options.map(optionSpec);
  if (subcommands.length === 0) {
    return `${functionName(path)}() {\n  _arguments -s -S \\\n    ${[...specs, ...positional.map(argumentSpec)].join(' \\\n    ')}\n}`;
  }
  const listed = subcommands.map(
    (sub) => `'${sub.path.at(-1)}:${sub.description.replaceAll("'", "'\\''").replaceAll(':', '\\:')}'`,
  );
  const cases = subcommands.map((sub) => `      ${sub.path.at(-1)}) ${functionName(sub.path)} ;;`);
  return `${functionName(path)}() {
  local context state line
  local -a commands=(
    ${listed.join('\n    ')}
  )
  _arguments -C ${specs.join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}`;
}

export function zshCompletion(program: CommandDefinition): string {
  return `#compdef wcvmm
# zsh completion for wcvmm: wcvmm completion zsh > a folder of $fpath/_wcvmm
__wcvmm_addresses() {
  local -a devices=(/sys/bus/pci/devices/*(N:t))
  compadd -a devices
}

${everyCommand(program).map(commandFunction).join('\n\n')}

if [ "$funcstack[1]" = _wcvmm ]; then _wcvmm "$@"; else compdef _wcvmm wcvmm; fi
`;
}
