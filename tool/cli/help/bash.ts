/** Completion for bash. */
import type { CommandDefinition, ValueKind } from './definitions.ts';
import { everyCommand } from './definitions.ts';

/** Offers what `_wcvmm_offer` filters. */
function offer(of: ValueKind): string {
  switch (of.kind) {
    case 'words':
      return `_wcvmm_offer '${of.words.join(' ')}'`;
    case 'device':
      return '_wcvmm_offer "$(ls /sys/bus/pci/devices 2>/dev/null)"';
    case 'file':
      return 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))';
    case 'free':
      return ':';
  }
}

function valueCases(command: CommandDefinition): readonly string[] {
  return command.options.flatMap(({ short, long, value }) => {
    if (value === null) return [];
    const names = [short, long].flatMap((name) => (name === null ? [] : [`'${command.path.join(' ')} ${name}'`]));
    return [`    ${names.join('|')}) ${offer(value.of)}; return ;;`];
  });
}

function commandCase(command: CommandDefinition): string {
  const options = command.options.flatMap(({ short, long }) => (short === null ? [long] : [short, long])).join(' ');
  const subcommands = command.subcommands.map(({ path }) => path.at(-1)).join(' ');
  const [first] = command.arguments;
  const words = first === undefined ? `_wcvmm_offer '${subcommands}'` : offer(first.of);
  return `    '${command.path.join(' ')}') if [[ $cur == -* ]]; then _wcvmm_offer '${options}'; else ${words}; fi ;;`;
}

export function bashCompletion(program: CommandDefinition): string {
  const commands = everyCommand(program);
  const paths = commands.slice(1).map(({ path }) => `'${path.join(' ')}'`);
  return `# bash completion for wcvmm: source <(wcvmm completion bash)
_wcvmm_offer() {
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
  # bash ends a word at a colon, and PCI addresses have them: only what follows the last one is replaced.
  if [[ $cur == *:* ]]; then COMPREPLY=("\${COMPREPLY[@]#"\${cur%"\${cur##*:}"}"}"); fi
}

_wcvmm() {
  local line=\${COMP_LINE:0:COMP_POINT} words path=wcvmm cur= previous=
  read -ra words <<<"$line"
  if [[ $line != *[[:space:]] ]]; then
    cur=\${words[-1]}
    unset 'words[-1]'
  fi
  previous=\${words[-1]}
  COMPREPLY=()
  local word
  for word in "\${words[@]:1}"; do
    case "$path $word" in
    ${paths.join('|')}) path="$path $word" ;;
    esac
  done
  case "$path $previous" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case $path in
${commands.map(commandCase).join('\n')}
  esac
}
complete -F _wcvmm wcvmm
`;
}
