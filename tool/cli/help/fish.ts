/** Completion for fish (complete(1)). */
import type { CommandDefinition, OptionDefinition, ValueKind } from './definitions.ts';
import { everyCommand } from './definitions.ts';

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** The part of a `complete` line that says what a value is. */
function values(of: ValueKind): string {
  switch (of.kind) {
    case 'words':
      return `-x -a ${quoted(of.words.join(' '))}`;
    case 'device':
      return "-x -a '(ls /sys/bus/pci/devices 2>/dev/null)'";
    case 'file':
      return '-r -F';
    case 'free':
      return '-x';
  }
}

function optionLine(at: string, { short, long, description, value }: OptionDefinition): string {
  const names = [...(short === null ? [] : [`-s ${short.slice(1)}`]), `-l ${long.slice(2)}`].join(' ');
  return `complete -c wcvmm -n ${at} ${names}${value === null ? '' : ` ${values(value.of)}`} -d ${quoted(description)}`;
}

function commandLines(command: CommandDefinition): readonly string[] {
  const at = quoted(`__wcvmm_at ${command.path.slice(1).join(' ')}`.trim());
  const [first] = command.arguments;
  return [
    ...command.subcommands.map(
      (sub) => `complete -c wcvmm -n ${at} -f -a ${sub.path.at(-1)} -d ${quoted(sub.description)}`,
    ),
    ...(first === undefined ? [] : [`complete -c wcvmm -n ${at} ${values(first.of).replace('-r -F', '-F')}`]),
    ...command.options.map((option) => optionLine(at, option)),
  ];
}

export function fishCompletion(program: CommandDefinition): string {
  const paths = everyCommand(program)
    .slice(1)
    .map(({ path }) => quoted(path.slice(1).join(' ')));
  return `# fish completion for wcvmm: wcvmm completion fish > ~/.config/fish/completions/wcvmm.fish
function __wcvmm_at
    set -l path
    for word in (commandline -opc)[2..]
        set -l longer (string join ' ' -- $path $word)
        if contains -- $longer ${paths.join(' ')}
            set path $path $word
        end
    end
    test "$path" = "$argv"
end

complete -c wcvmm -f
${everyCommand(program).flatMap(commandLines).join('\n')}
`;
}
