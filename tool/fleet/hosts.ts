/** The hosts that there should be a report of, and the kind of each: a line for each, `HOST KIND`. */
import { readFile } from 'node:fs/promises';
import { WcvmmError } from '../../common/errors.ts';

/** By host. */
export type Hosts = ReadonlyMap<string, string>;

/** Throws E_PROFILE naming the line. */
export async function readHosts(path: string): Promise<Hosts> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new WcvmmError(
      'E_PROFILE',
      `the list of hosts ${path} cannot be read (${error instanceof Error ? error.message : String(error)}).`,
      { cause: error },
    );
  }
  return parseHosts(text, path);
}

/** What `#` begins is a remark. */
export function parseHosts(text: string, name: string): Hosts {
  const hosts = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.replace(/#.*/, '').trim().split(/\s+/);
    const [host = '', kind = ''] = words;
    if (host === '') continue;
    const refuse = (what: string): never => {
      throw new WcvmmError('E_PROFILE', `${name}, line ${index + 1}: ${what}; expected "HOST KIND".`);
    };
    if (words.length !== 2) refuse(`${words.length} words`);
    if (hosts.has(host)) refuse('the host is named twice');
    hosts.set(host, kind);
  }
  if (hosts.size === 0)
    throw new WcvmmError('E_PROFILE', `${name} names no host; expected a line "HOST KIND" for each.`);
  return hosts;
}
