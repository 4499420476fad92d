/** What a configuration fragment asks for, by option: "y", a number, a quoted string; "n" = must not be set. */
export function parseFragment(text: string): Map<string, string> {
  const wanted = new Map<string, string>();
  for (const line of text.split('\n')) {
    const set = /^(CONFIG_\w+)=(.+)$/.exec(line);
    const unset = /^# (CONFIG_\w+) is not set$/.exec(line);
    if (set?.[1] !== undefined && set[2] !== undefined) wanted.set(set[1], set[2]);
    else if (unset?.[1] !== undefined) wanted.set(unset[1], 'n');
  }
  return wanted;
}

/**
 * What of a fragment did not survive the kernel's own dependency rules, one "CONFIG_X is n instead of y" each:
 * kconfig drops an option whose dependencies are missing without a word.
 */
export function unmetOptions(fragment: string, dotConfig: string): string[] {
  const got = parseFragment(dotConfig);
  return [...parseFragment(fragment)].flatMap(([option, value]) => {
    const actual = got.get(option) ?? 'n';
    return actual === value ? [] : [`${option} is ${actual} instead of ${value}`];
  });
}
