import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as v from 'valibot';

const stepSchema = v.object({ output: v.array(v.string()), seconds: v.number() });
const fileSchema = v.record(v.string(), stepSchema);

/** What a step of the check found, and how long it took. */
export type Done = v.InferOutput<typeof stepSchema>;

/**
 * Results of steps by the content that they depend on, so that a check that was stopped goes on where it was,
 * and one after a change of patch 20 does not compile patches 1 to 19 again.
 */
export class CheckRecord {
  readonly #path: string;
  #steps: Record<string, Done> | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  async find(key: string): Promise<Done | null> {
    return (await this.#all())[key] ?? null;
  }

  async add(key: string, done: Done): Promise<void> {
    const steps = { ...(await this.#all()), [key]: done };
    this.#steps = steps;
    await mkdir(dirname(this.#path), { recursive: true });
    await writeFile(`${this.#path}.new`, JSON.stringify(steps));
    await rename(`${this.#path}.new`, this.#path);
  }

  async #all(): Promise<Record<string, Done>> {
    this.#steps ??= await readFile(this.#path, 'utf8').then(
      (text) => v.parse(fileSchema, JSON.parse(text)),
      () => ({}),
    );
    return this.#steps;
  }
}
