/** `--json [file]` of commands that make no report. True where the JSON went to standard output, in place of the text. */
import { standardOutput } from '../../../common/output.ts';
export async function showJson(where: string | true | undefined, value: object): Promise<boolean> {
  if (where === undefined) return false;
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (where === true || where === '-') {
    standardOutput.write(text);
    return true;
  }
  const { writeWhole } = await import('../../report/json.ts');
  await writeWhole(where, text);
  return false;
}
