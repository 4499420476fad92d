/** Commands as they are defined for commander, in the plain form that man pages and completions are made from. */
import type { Argument, Command, Option } from 'commander';

/** What a value is, as far as a shell can complete it. */
export type ValueKind =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' }
  | { readonly kind: 'device' }
  | { readonly kind: 'free' };

export interface OptionDefinition {
  readonly short: string | null;
  readonly long: string;
  /** As help writes it: `-d, --device <address>`. */
  readonly term: string;
  /** With choices and default. */
  readonly description: string;
  /** Null for a flag. */
  readonly value: { readonly name: string; readonly optional: boolean; readonly of: ValueKind } | null;
  readonly repeatable: boolean;
}

export interface ArgumentDefinition {
  readonly name: string;
  readonly description: string;
  readonly variadic: boolean;
  readonly of: ValueKind;
}

export interface CommandDefinition {
  /** From the program on: ['wcvmm', 'testbed', 'run']. */
  readonly path: readonly string[];
  readonly description: string;
  readonly usage: string;
  readonly options: readonly OptionDefinition[];
  readonly arguments: readonly ArgumentDefinition[];
  readonly subcommands: readonly CommandDefinition[];
  /** Examples and exit codes: what stands after the options in --help. */
  readonly after: string;
}

const FILES = /^(?:file|image|path|folder|reports?)$/;

function valueKind(name: string, choices: readonly string[] | undefined): ValueKind {
  if (choices !== undefined) return { kind: 'words', words: choices };
  if (FILES.test(name)) return { kind: 'file' };
  return name === 'address' ? { kind: 'device' } : { kind: 'free' };
}

function optionDefinition(option: Option, term: string, description: string): OptionDefinition {
  const name = /[<[]([\w-]+)/.exec(option.flags)?.[1] ?? '';
  const value =
    option.required || option.optional
      ? { name, optional: option.optional, of: valueKind(name, option.argChoices) }
      : null;
  return {
    short: option.short ?? null,
    long: option.long ?? option.flags,
    term,
    description,
    value,
    repeatable: option.variadic || Array.isArray(option.defaultValue),
  };
}

function argumentDefinition(argument: Argument): ArgumentDefinition {
  const { description, variadic, argChoices } = argument;
  return { name: argument.name(), description, variadic, of: valueKind(argument.name(), argChoices) };
}

/** What addHelpText has put after the help: it can only be had by printing. */
function afterHelp(command: Command): string {
  const pieces: string[] = [];
  const output = command.configureOutput();
  command.configureOutput({ ...output, writeOut: (text) => void pieces.push(text) });
  command.outputHelp();
  command.configureOutput(output);
  return pieces.slice(1).join('').trim();
}

export function defineCommand(command: Command, parents: readonly string[] = []): CommandDefinition {
  const path = [...parents, command.name()];
  const help = command.createHelp();
  const { visibleOptions, visibleCommands } = {
    visibleOptions: help.visibleOptions(command),
    visibleCommands: help.visibleCommands(command),
  };
  return {
    path,
    description: command.description(),
    usage: help.commandUsage(command),
    options: visibleOptions.map((option) =>
      optionDefinition(option, help.optionTerm(option), help.optionDescription(option)),
    ),
    arguments: command.registeredArguments.map(argumentDefinition),
    subcommands: visibleCommands.filter((sub) => sub.name() !== 'help').map((sub) => defineCommand(sub, path)),
    after: afterHelp(command),
  };
}

/** The command itself and all below it. */
export function everyCommand(definition: CommandDefinition): readonly CommandDefinition[] {
  return [definition, ...definition.subcommands.flatMap(everyCommand)];
}
